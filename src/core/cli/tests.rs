use super::*;

fn refusal(arguments: &[&str]) -> String {
    let refused = Cli::try_parse_from(["astill"].iter().chain(arguments)).unwrap_err();
    assert_eq!(refused.exit_code(), 2);
    refused.to_string()
}

#[test]
fn colours_are_checked_and_listed() {
    let color = |value| {
        Cli::try_parse_from(["astill", "--color", value, "list"])
            .unwrap()
            .look
            .color
    };
    for (value, wanted) in [
        ("auto", ColorChoice::Auto),
        ("never", ColorChoice::Never),
        ("16", ColorChoice::Ansi16),
        ("256", ColorChoice::Ansi256),
        ("truecolor", ColorChoice::TrueColor),
    ] {
        assert_eq!(color(value), wanted);
    }
    let text = refusal(&["--color", "lots", "list"]);
    assert!(
        text.contains("'lots'") && text.contains("auto, never, 16, 256, truecolor"),
        "{text}"
    );
}

#[test]
fn devices_are_checked_and_described() {
    for (name, wanted, written) in [
        ("auto", DeviceChoice::Auto, "auto"),
        ("cpu", DeviceChoice::Cpu, "cpu"),
        ("cuda", DeviceChoice::Cuda(0), "cuda:0"),
        ("cuda:3", DeviceChoice::Cuda(3), "cuda:3"),
    ] {
        let choice: DeviceChoice = name.parse().unwrap();
        assert_eq!((&choice, choice.to_string().as_str()), (&wanted, written));
    }
    for command in [
        &["run", "shapes"][..],
        &["check", "shapes"],
        &["resume", "r"],
        &["bench"],
    ] {
        for name in ["tpu", "cuda:", "cuda:x", "cuda:-1", "CPU", ""] {
            let text = refusal(&[command, &["--device", name]].concat());
            assert!(text.contains("cuda or cuda:N"), "{text}");
        }
    }
}

#[test]
fn several_devices_are_named_one_by_one_or_counted() {
    let list = |text: &str| text.parse::<DeviceList>().map(|list| list.to_string());
    for (text, wanted) in [
        ("auto", "auto"),
        ("cuda", "cuda:0"),
        ("cuda:0,cuda:1", "cuda:0,cuda:1"),
        ("cpux3", "cpu,cpu,cpu"),
        ("cpu×2,cuda:1", "cpu,cpu,cuda:1"),
    ] {
        assert_eq!(list(text), Ok(wanted.to_string()));
    }
    for wrong in [
        "", "cpu,", "cpux0", "cpux", "cpux5000", "auto,cpu", "autox2", "tpu",
    ] {
        assert_eq!(list(wrong), Err(NotDevices), "{wrong}");
    }
    assert_eq!(
        "cpux2,cuda".parse::<DeviceList>().map(|l| l.on_cpu()),
        Ok(2)
    );
}

#[test]
fn the_arguments_of_a_run_survive_the_way_to_another_process() {
    let parse = |arguments: &[String]| {
        let arguments = ["astill", "run"]
            .map(String::from)
            .into_iter()
            .chain(arguments.to_vec());
        match Cli::try_parse_from(arguments).unwrap().command {
            Some(Cmd::Run(args)) => args.to_arguments(),
            other => panic!("{other:?}"),
        }
    };
    let given = [
        "shapes",
        "--device=cuda:1",
        "--set=distill.ipc=3",
        "--seed=7",
        "--name=r",
        "--on-finish=echo \"done\"",
        "--workers=cuda:1,cuda:2",
        "--listen=10.0.0.5:7000",
    ];
    let given = given.map(String::from);
    assert_eq!(parse(&given), given);
}

#[test]
fn the_changes_of_a_resumed_run_survive_the_way_to_another_process() {
    let given = [
        "--device=cuda:1",
        "--set=distill.iterations=3",
        "--on-finish=true",
        "--workers=3",
        "--listen=0.0.0.0",
    ];
    let arguments = ["astill", "resume", "r"].into_iter().chain(given);
    let changes = match Cli::try_parse_from(arguments).unwrap().command {
        Some(Cmd::Resume(args)) => args.changes,
        other => panic!("{other:?}"),
    };
    assert_eq!(changes.to_arguments(), given);
    assert!(changes.need_new_engine());
    let later = ResumeChanges {
        on_finish: changes.on_finish,
        ..ResumeChanges::default()
    };
    assert!(!later.need_new_engine(), "the app can do that");
}
