//! The sources, and NVRTC, the compiler that libtorch's CUDA libraries bring along.

use crate::library::Library;
use crate::libtorch;
use std::ffi::{CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use tch::Kind;

const SOURCES: [&str; 4] = [
    include_str!("prelude.cu"),
    include_str!("planes.cu"),
    include_str!("augment.cu"),
    include_str!("vectors.cu"),
];
const COMPILER: &str = "libnvrtc.so.";
const BUILTINS: &str = "libnvrtc-builtins";
/// Where NVRTC is, relative to libtorch's libraries: beside them, or in the packages of CUDA 13 and 12.
const FOLDERS: [&str; 3] = [".", "../../nvidia/cu13/lib", "../../nvidia/cuda_nvrtc/lib"];
/// Names that the loader may find by itself.
const NAMES: [&str; 2] = ["libnvrtc.so.13", "libnvrtc.so.12"];

type Program = *mut c_void;
type OfProgram = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type TextOfProgram = unsafe extern "C" fn(Program, *mut c_char) -> c_int;

/// Compiles all kernels for the GPUs of this compute capability, 90 for 9.0.
///
/// # Errors
/// There is no compiler, or it fails, for example because it does not know the GPU.
pub(super) fn compile(capability: i32, kind: Kind) -> Result<Vec<u8>, String> {
    let library = load()?;
    let real = match kind {
        Kind::Double => "double",
        _ => "float",
    };
    let options = [
        format!("--gpu-architecture=sm_{capability}"),
        format!("-DREAL={real}"),
        "--std=c++17".into(),
    ];
    // no text here has a zero byte
    let text = |text: &str| CString::new(text).unwrap_or_default();
    let options = options.map(|option| text(&option));
    let options = options.each_ref().map(|option| option.as_ptr());
    let (source, name) = (text(&SOURCES.concat()), text("astill.cu"));
    let missing = |name: &str| format!("NVRTC has no function {name}");
    // SAFETY: the functions have these types in nvrtc.h; the texts outlive the calls, and every place
    // is as large as the call before says
    unsafe {
        let create: unsafe extern "C" fn(
            *mut Program,
            *const c_char,
            *const c_char,
            c_int,
            *const *const c_char,
            *const *const c_char,
        ) -> c_int = library
            .function(c"nvrtcCreateProgram")
            .ok_or_else(|| missing("nvrtcCreateProgram"))?;
        let build: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int = library
            .function(c"nvrtcCompileProgram")
            .ok_or_else(|| missing("nvrtcCompileProgram"))?;
        let destroy: unsafe extern "C" fn(*mut Program) -> c_int = library
            .function(c"nvrtcDestroyProgram")
            .ok_or_else(|| missing("nvrtcDestroyProgram"))?;
        let functions = |size, text| -> Option<(OfProgram, TextOfProgram)> {
            Some((library.function(size)?, library.function(text)?))
        };
        let code = functions(c"nvrtcGetCUBINSize", c"nvrtcGetCUBIN")
            .ok_or_else(|| missing("nvrtcGetCUBIN"))?;
        let log = functions(c"nvrtcGetProgramLogSize", c"nvrtcGetProgramLog")
            .ok_or_else(|| missing("nvrtcGetProgramLog"))?;
        let mut program = null_mut();
        let status = create(
            &mut program,
            source.as_ptr(),
            name.as_ptr(),
            0,
            null(),
            null(),
        );
        if status != 0 {
            return Err(format!("NVRTC does not start (error {status})"));
        }
        let status = build(program, options.len() as c_int, options.as_ptr());
        let compiled = match status {
            0 => Ok(bytes(program, code)),
            _ => Err(bytes(program, log)),
        };
        destroy(&mut program);
        compiled.map_err(|log| {
            let log = String::from_utf8_lossy(&log);
            let log = log.trim_matches(|c: char| c == '\0' || c.is_whitespace());
            format!("NVRTC fails for compute capability {capability} (error {status}): {log}")
        })
    }
}

/// The code of a program, or its log.
///
/// # Safety
/// `size` and `fill` are NVRTC's functions for the same part of a program.
unsafe fn bytes(program: Program, (size, fill): (OfProgram, TextOfProgram)) -> Vec<u8> {
    let mut n = 0;
    // SAFETY: what the caller promises
    if unsafe { size(program, &mut n) } != 0 {
        return Vec::new();
    }
    let mut found = vec![0u8; n];
    // SAFETY: as above; there are `n` bytes for it
    match unsafe { fill(program, found.as_mut_ptr().cast()) } {
        0 => found,
        _ => Vec::new(),
    }
}

/// Loads the compiler, and its library of built-ins, which it would look for by name alone and not
/// find.
fn load() -> Result<Library, String> {
    let folder = libtorch::folder();
    let beside = FOLDERS
        .iter()
        .filter_map(|sub| begins_with(&folder.as_ref()?.join(sub), COMPILER));
    let mut why = None;
    for candidate in beside.chain(NAMES.map(PathBuf::from)) {
        match Library::load(&name_of(&candidate)) {
            Ok(library) => {
                let builtins = libtorch::loaded(COMPILER)
                    .as_deref()
                    .and_then(Path::parent)
                    .and_then(|folder| begins_with(folder, BUILTINS));
                if let Some(builtins) = builtins {
                    Library::load(&name_of(&builtins))?;
                }
                return Ok(library);
            }
            // the first is the likeliest place, and what is wrong there matters
            Err(reason) => why = why.or(Some(reason)),
        }
    }
    Err(why.unwrap_or_else(|| "NVRTC was not found".into()))
}

fn name_of(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

/// The first file of a folder whose name begins so, leaving out alternative builds.
fn begins_with(folder: &Path, start: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let is_it = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with(start) && !name.contains(".alt.")
    };
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| is_it(&entry.file_name()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found.into_iter().next()
}
