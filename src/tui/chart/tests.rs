use super::*;

fn series(values: impl IntoIterator<Item = f64>) -> Series {
    let mut series = Series::new();
    values
        .into_iter()
        .enumerate()
        .for_each(|(i, v)| series.push(i as f64 + 1., v));
    series
}

fn draw(chart: &Chart, width: u16, height: u16) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
    chart.render(buf.area, &mut buf);
    buf
}

fn text(buf: &Buffer) -> String {
    let row = |y| {
        (0..buf.area.width)
            .map(|x| buf[(x, y)].symbol())
            .collect::<String>()
    };
    (0..buf.area.height)
        .map(|y| row(y).trim_end().to_string() + "\n")
        .collect()
}

fn wave(points: usize) -> Series {
    series((0..points).map(|i| (i as f64 * 12. / points as f64).sin() * 2. + 3.))
}

const COLOUR: Theme = Theme::new(Depth::TrueColor, false);
const ASCII: Theme = Theme::new(Depth::Never, true);

#[test]
fn lines_legend_and_labels() {
    let (loss, last) = (
        wave(400),
        series((0..400).map(|i| 5. - f64::from(i) / 100.)),
    );
    let chart = |theme| {
        Chart::new("loss", theme)
            .curve(Curve::new("total", &loss, COLOUR.series(0)))
            .curve(Curve::new("final", &last, COLOUR.series(1)))
    };
    insta::assert_snapshot!("braille", text(&draw(&chart(&COLOUR), 60, 14)));
    insta::assert_snapshot!("ascii", text(&draw(&chart(&ASCII), 60, 14)));
    assert!(text(&draw(&chart(&ASCII), 60, 14)).is_ascii());
}

#[test]
fn a_spike_among_a_million_points_is_seen() {
    let s = series((0..1_000_000).map(|i| {
        if i == 600_000 {
            100.
        } else {
            f64::from(i % 7) / 7.
        }
    }));
    let buf = draw(
        &Chart::new("loss", &ASCII).curve(Curve::new("total", &s, Style::new())),
        80,
        20,
    );
    let shown = text(&buf);
    let spike: Vec<usize> = shown
        .lines()
        .skip(1)
        .take(10)
        .filter_map(|l| l.find('*'))
        .collect();
    assert_eq!(spike.len(), 10, "a line from top to bottom\n{shown}");
    assert!(
        spike
            .iter()
            .all(|&x| x == spike[0] && (45..55).contains(&x)),
        "{shown}"
    );
}

#[test]
fn a_gap_and_a_mark_show_what_is_not_a_number() {
    let s = series((0..40).map(|i| match i {
        18..=21 => f64::NAN,
        30 => f64::INFINITY,
        _ => 2. + f64::from(i % 3),
    }));
    let shown = text(&draw(
        &Chart::new("loss", &ASCII).curve(Curve::new("total", &s, Style::new())),
        42,
        8,
    ));
    insta::assert_snapshot!("not_a_number", shown);
}

#[test]
fn only_nan_is_only_marks() {
    let s = series([f64::NAN; 10]);
    for log_y in [false, true] {
        let chart = Chart::new("loss", &COLOUR).view(ChartView {
            log_y,
            ..ChartView::default()
        });
        let shown = text(&draw(
            &chart.curve(Curve::new("total", &s, Style::new())),
            30,
            6,
        ));
        assert!(
            shown.contains('!') && shown.contains("total NaN"),
            "{shown}"
        );
        assert!(
            !shown
                .chars()
                .any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)),
            "{shown}"
        );
    }
}

#[test]
fn a_logarithmic_axis_has_decades() {
    let s = series((0..300).map(|i| 10f64.powf(3. - f64::from(i) / 50.)));
    let chart = Chart::new("loss", &COLOUR).view(ChartView {
        log_y: true,
        ..ChartView::default()
    });
    insta::assert_snapshot!(
        "log",
        text(&draw(
            &chart.curve(Curve::new("total", &s, COLOUR.series(0))),
            50,
            12
        ))
    );
}

#[test]
fn baselines_and_the_cursor_are_labelled() {
    let mut s = Series::new();
    (0..=10).for_each(|i| s.push(f64::from(i) * 500., 20. + f64::from(i) * 2.));
    let chart = Chart::new("accuracy", &ASCII)
        .curve(Curve::new("distilled", &s, Style::new()))
        .reference("random", 31.)
        .reference("lost", f64::NAN)
        .view(ChartView {
            cursor: Some(2_400.),
            ..ChartView::default()
        });
    insta::assert_snapshot!("baseline_and_cursor", text(&draw(&chart, 60, 12)));
}

#[test]
fn smoothing_keeps_the_points_behind_the_line() {
    let s = series((0..200).map(|i| f64::from(i) / 50. + f64::from((i * 7919) % 13) / 5.));
    let chart = Chart::new("loss", &ASCII).curve(Curve::new("total", &s, Style::new()));
    let shown = text(&draw(
        &chart.view(ChartView {
            smooth: 3,
            ..ChartView::default()
        }),
        60,
        12,
    ));
    assert!(shown.contains('.') && shown.contains('*'), "{shown}");
    insta::assert_snapshot!("smoothed", shown);
}

#[test]
fn a_window_shows_its_own_bounds() {
    let s = series((0..1_000).map(|i| if i == 0 { 1e6 } else { f64::from(i) }));
    let chart = Chart::new("loss", &ASCII).curve(Curve::new("total", &s, Style::new()));
    let shown = text(&draw(
        &chart.view(ChartView {
            window: Some((501., 1_000.)),
            ..ChartView::default()
        }),
        40,
        10,
    ));
    assert!(
        shown.contains(" 800 ") && !shown.contains("e6") && shown.contains("501"),
        "{shown}"
    );
}

#[test]
fn the_newest_line_is_in_front() {
    let (old, new) = (series([1.; 50]), series([1.; 50]));
    let style = COLOUR.series(2);
    let chart = Chart::new("turn", &COLOUR)
        .curve(Curve::new("2", &new, style))
        .curve(Curve::new("1", &old, style).dim());
    let buf = draw(&chart, 40, 9);
    let line: Vec<_> = buf
        .content
        .iter()
        .filter(|c| ('\u{2801}'..='\u{28ff}').contains(&c.symbol().chars().next().unwrap_or(' ')))
        .collect();
    assert!(!line.is_empty() && line.iter().all(|c| Some(c.fg) == style.fg));
    assert!(text(&buf).contains("2 1") && !text(&buf).contains("1 1"));
}

#[test]
fn a_single_point_is_seen() {
    let s = series([4.]);
    let buf = draw(
        &Chart::new("accuracy", &COLOUR).curve(Curve::new("test", &s, Style::new())),
        40,
        8,
    );
    assert!(
        text(&buf)
            .chars()
            .any(|c| ('\u{2801}'..='\u{28ff}').contains(&c))
    );
}

#[test]
fn lines_are_told_apart_without_colour() {
    let (a, b) = (series([1., 2., 3.]), series([3., 2.5, 1.]));
    let theme = Theme::new(Depth::Never, false);
    let chart = Chart::new("loss", &theme)
        .curve(Curve::new("a", &a, theme.series(0)))
        .curve(Curve::new("b", &b, theme.series(1)));
    let shown = text(&draw(&chart, 40, 8));
    assert!(
        shown.contains("* a 3")
            && shown.contains("+ b 1")
            && shown.lines().skip(1).any(|l| l.contains('+')),
        "{shown}"
    );
}

#[test]
fn any_size_and_any_data_draw_without_a_panic() {
    let data = [
        Series::new(),
        series([1.]),
        series([f64::NAN]),
        series([0.; 5]),
        series([f64::MAX, f64::MIN, 1e-300, 3.4e38, -3.4e38]),
        series([1e-38, 2e-38]),
        wave(3_000),
    ];
    let views = [
        ChartView::default(),
        ChartView {
            log_y: true,
            smooth: 5,
            cursor: Some(1.),
            ..ChartView::default()
        },
        ChartView {
            window: Some((10., 20.)),
            follow: true,
            cursor: Some(f64::NAN),
            ..ChartView::default()
        },
        ChartView {
            window: Some((-1e9, -1e8)),
            smooth: 200,
            ..ChartView::default()
        },
        ChartView {
            window: Some((f64::NAN, f64::INFINITY)),
            ..ChartView::default()
        },
        ChartView {
            window: Some((5., 5.)),
            ..ChartView::default()
        },
    ];
    let sizes: Vec<(u16, u16)> = (0..14)
        .flat_map(|w| (0..7).map(move |h| (w, h)))
        .chain([(20, 5), (40, 10), (80, 24), (200, 60)])
        .collect();
    for ((s, view), theme) in data
        .iter()
        .flat_map(|s| views.clone().map(|v| (s, v)))
        .flat_map(|c| [COLOUR, ASCII].map(|t| (c.clone(), t)))
    {
        for &(width, height) in &sizes {
            let chart = Chart::new("a title that is long", &theme)
                .view(view.clone())
                .curve(Curve::new("one", s, theme.series(0)))
                .curve(Curve::new("two", s, theme.series(1)).dim())
                .reference("base", 2.);
            draw(&chart, width, height);
        }
    }
    let mut small = Buffer::empty(Rect::new(0, 0, 5, 5));
    Chart::new("x", &ASCII)
        .curve(Curve::new("one", &data[6], Style::new()))
        .render(Rect::new(3, 3, 90, 90), &mut small);
}

#[test]
fn marks_stand_under_the_lines_and_the_first_by_rank_is_seen() {
    let s = wave(100);
    let mark = |step, letter, rank| ChartMark {
        step,
        letter,
        style: Style::new(),
        rank,
    };
    let chart = Chart::new("loss", &ASCII)
        .curve(Curve::new("total", &s, Style::new()))
        .marks(vec![
            mark(0., 'e', 4),
            mark(50., 'c', 5),
            mark(50., 't', 0),
            mark(400., 'p', 3),
        ]);
    let shown = text(&draw(&chart, 60, 12));
    let row = shown.lines().rev().nth(1).unwrap();
    assert_eq!(row.trim_start().chars().next(), Some('e'), "{shown}");
    assert!(row.contains('t') && !row.contains('c') && !row.contains('p'));
    // where there is no room for a row, they share that of the steps
    let low = text(&draw(&chart, 60, 6));
    assert!(low.lines().last().unwrap().contains('t'), "{low}");
}

#[test]
fn outliers_are_left_out_only_where_there_are_some() {
    let spiked = series((0..200).map(|i| if i == 90 { 1e6 } else { f64::from(i % 10) }));
    let view = ChartView {
        is_robust: true,
        ..ChartView::default()
    };
    let chart = |s| Chart::new("loss", &ASCII).curve(Curve::new("total", s, Style::new()));
    let shown = text(&draw(&chart(&spiked).view(view.clone()), 60, 12));
    assert!(shown.contains('^') && !shown.contains("e6"), "{shown}");
    assert!(text(&draw(&chart(&spiked), 60, 12)).contains("e6"));
    // a line that falls from 200 to 1 keeps both ends
    let falling = series((0..200).map(|i| 200. - f64::from(i)));
    let plain = text(&draw(&chart(&falling), 60, 12));
    assert_eq!(text(&draw(&chart(&falling).view(view), 60, 12)), plain);
}

#[test]
fn a_zoomed_vertical_axis_cuts_the_line() {
    let s = series((0..100).map(f64::from));
    let chart = Chart::new("loss", &ASCII).curve(Curve::new("total", &s, Style::new()));
    let shown = text(&draw(
        &chart.view(ChartView {
            values: Some((40., 60.)),
            ..ChartView::default()
        }),
        60,
        12,
    ));
    let lines: Vec<&str> = shown.lines().collect();
    let body = lines[1..lines.len() - 1].join("\n");
    assert!(body.contains("50") && !body.contains("80"), "{shown}");
    let drawn = body.chars().filter(|c| *c == '*').count();
    assert!((8..30).contains(&drawn), "only the steps 41 to 61: {shown}");
}

#[test]
fn without_colour_the_smoothed_line_differs_from_the_measured_values() {
    let s = series((0..200).map(|i| f64::from(i) / 50. + f64::from((i * 7919) % 13) / 5.));
    let theme = Theme::new(Depth::Never, false);
    let chart = Chart::new("loss", &theme).curve(Curve::new("total", &s, theme.series(0)));
    let smooth = ChartView {
        smooth: 3,
        ..ChartView::default()
    };
    let shown = text(&draw(&chart.view(smooth), 60, 12));
    assert!(
        shown.contains('*') && shown.contains('.') && shown.contains("* total"),
        "{shown}"
    );
}
