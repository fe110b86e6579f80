//! Compiles the libtorch calls that tch does not offer, and puts the folder of libtorch's libraries
//! into the binary, so that it starts from anywhere without environment variables. As RPATH, which
//! comes before LD_LIBRARY_PATH: another libtorch there would not fit.

use std::path::Path;

const SOURCES: [&str; 2] = ["network/analytic/convolution.cpp", "device.cpp"];

fn main() {
    SOURCES
        .iter()
        .for_each(|source| println!("cargo:rerun-if-changed={source}"));
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags,-rpath,{libtorch}/lib");
    }
    // torch-sys says which libtorch it found
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").unwrap_or_default();
    if let Some(libtorch) = Path::new(&lib).parent() {
        cc::Build::new()
            .cpp(true)
            .std("c++17")
            .warnings(false)
            .include(libtorch.join("include"))
            .define("_GLIBCXX_USE_CXX11_ABI", "1")
            .files(SOURCES)
            .compile("astill_libtorch");
    }
    emulate();
}

/// Compiles the kernels for the CPU, for the tests alone.
fn emulate() {
    const EMULATOR: &str = "../../tests/engine/emulator.cpp";
    println!("cargo:rerun-if-changed={EMULATOR}");
    println!("cargo:rerun-if-changed=kernels");
    // a package of the engine alone has no tests
    let Some(out) = std::env::var_os("OUT_DIR").filter(|_| Path::new(EMULATOR).exists()) else {
        return;
    };
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .cargo_metadata(false)
        .file(EMULATOR)
        .compile("astill_emulator");
    let library = Path::new(&out).join("libastill_emulator.a");
    println!("cargo:rustc-link-arg-tests={}", library.display());
}
