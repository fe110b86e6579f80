//! Kernels on a GPU: compiled for it when they are first used, and launched on the stream on which
//! libtorch works.

use super::{Kernels, Launch, compiler, packed};
use crate::failure::FROM_KERNEL;
use crate::gpus;
use crate::library::Library;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr::{null, null_mut};
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Device, Kind};

unsafe extern "C" {
    fn astill_current_stream(device: i64, stream: *mut *mut c_void) -> bool;
}

type Handle = *mut c_void;
/// The driver's number for the compute capability of a device: before the dot, and after it.
const CAPABILITY: [c_int; 2] = [75, 76];

/// The functions of the driver that launching takes, with the types that cuda.h gives them.
#[derive(Debug, Clone, Copy)]
struct Driver {
    device: unsafe extern "C" fn(*mut c_int, c_int) -> c_int,
    attribute: unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int,
    retain: unsafe extern "C" fn(*mut Handle, c_int) -> c_int,
    push: unsafe extern "C" fn(Handle) -> c_int,
    pop: unsafe extern "C" fn(*mut Handle) -> c_int,
    module: unsafe extern "C" fn(*mut Handle, *const c_void) -> c_int,
    function: unsafe extern "C" fn(*mut Handle, Handle, *const c_char) -> c_int,
    error_string: unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int,
    #[allow(clippy::type_complexity)]
    launch: unsafe extern "C" fn(
        Handle,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        Handle,
        *mut *mut c_void,
        *mut *mut c_void,
    ) -> c_int,
}

impl Driver {
    fn load() -> Result<Self, String> {
        let library = Library::load(gpus::DRIVER)?;
        let all = || {
            // SAFETY: these are their types
            unsafe {
                Some(Self {
                    device: library.function(c"cuDeviceGet")?,
                    attribute: library.function(c"cuDeviceGetAttribute")?,
                    retain: library.function(c"cuDevicePrimaryCtxRetain")?,
                    push: library.function(c"cuCtxPushCurrent_v2")?,
                    pop: library.function(c"cuCtxPopCurrent_v2")?,
                    module: library.function(c"cuModuleLoadData")?,
                    function: library.function(c"cuModuleGetFunction")?,
                    error_string: library.function(c"cuGetErrorString")?,
                    launch: library.function(c"cuLaunchKernel")?,
                })
            }
        };
        all().ok_or_else(|| "the NVIDIA driver lacks functions that launch kernels".to_string())
    }

    /// An error in words, with its number.
    fn describe(&self, error: c_int) -> String {
        let mut text = null();
        // SAFETY: the driver sets the pointer to a text of its own that stays, or to null
        let text = unsafe {
            (self.error_string)(error, &mut text);
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        };
        match text {
            Some(text) => format!("{text} (CUDA error {error})"),
            None => format!("CUDA error {error}"),
        }
    }
}

/// The kernels for one GPU.
#[derive(Debug)]
struct Cuda {
    index: usize,
    driver: Driver,
    /// The context that libtorch uses on it, which is never released.
    context: Handle,
    capability: i32,
    /// Compiled code by whether REAL is double in it, and the kernels in it by name.
    modules: Mutex<HashMap<bool, Handle>>,
    functions: Mutex<HashMap<(&'static str, bool), Handle>>,
}

// SAFETY: the driver's handles may be used from any thread
unsafe impl Send for Cuda {}
// SAFETY: as above
unsafe impl Sync for Cuda {}

/// The kernels for a GPU, or why there are none.
type Found = Result<Arc<Cuda>, String>;

/// The kernels for every GPU in use, because compiling takes a second or two.
static FOUND: Mutex<Option<HashMap<usize, Found>>> = Mutex::new(None);

/// The kernels for GPU number `index`.
///
/// # Errors
/// Why there are none.
pub(super) fn kernels(index: usize) -> Result<Arc<dyn Kernels>, String> {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let found = found.get_or_insert_default();
    let one = found
        .entry(index)
        .or_insert_with(|| Cuda::new(index).map(Arc::new));
    one.clone().map(|cuda| cuda as Arc<dyn Kernels>)
}

/// Compiles the kernels for GPU number `index`.
///
/// # Errors
/// Why that is not possible.
pub fn try_out(index: usize) -> Result<(), String> {
    kernels(index).map(drop)
}

impl Cuda {
    fn new(index: usize) -> Result<Self, String> {
        let driver = Driver::load()?;
        let number = c_int::try_from(index).unwrap_or(c_int::MAX);
        let (mut device, mut context, mut capability) = (0, null_mut(), [0; 2]);
        // SAFETY: the places are those of variables
        let statuses = unsafe {
            [
                (driver.device)(&mut device, number),
                (driver.attribute)(&mut capability[0], CAPABILITY[0], device),
                (driver.attribute)(&mut capability[1], CAPABILITY[1], device),
                (driver.retain)(&mut context, device),
            ]
        };
        if let Some(error) = statuses.iter().find(|status| **status != 0) {
            return Err(format!(
                "the NVIDIA driver does not describe the GPU: {}",
                driver.describe(*error)
            ));
        }
        let cuda = Self {
            index,
            driver,
            context,
            capability: capability[0] * 10 + capability[1],
            modules: Mutex::new(HashMap::new()),
            functions: Mutex::new(HashMap::new()),
        };
        cuda.module(Kind::Float)?;
        Ok(cuda)
    }

    /// Calls `f` with the GPU's context current on this thread.
    fn within<T>(&self, f: impl FnOnce() -> T) -> T {
        let mut popped = null_mut();
        // SAFETY: the context is retained
        unsafe { (self.driver.push)(self.context) };
        let result = f();
        // SAFETY: it was pushed above
        unsafe { (self.driver.pop)(&mut popped) };
        result
    }

    fn module(&self, kind: Kind) -> Result<Handle, String> {
        let is_double = kind == Kind::Double;
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(&is_double) {
            return Ok(*module);
        }
        let code = compiler::compile(self.capability, kind)?;
        let mut module = null_mut();
        // SAFETY: the code is whole; the driver copies it
        let status =
            self.within(|| unsafe { (self.driver.module)(&mut module, code.as_ptr().cast()) });
        if status != 0 {
            return Err(format!(
                "the NVIDIA driver does not load them: {}",
                self.driver.describe(status)
            ));
        }
        modules.insert(is_double, module);
        Ok(module)
    }

    fn function(&self, name: &'static str, kind: Kind) -> Result<Handle, String> {
        let key = (name, kind == Kind::Double);
        let mut functions = self
            .functions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = functions.get(&key) {
            return Ok(*function);
        }
        let module = self.module(kind)?;
        let text = CString::new(name).unwrap_or_default();
        let mut function = null_mut();
        // SAFETY: the module is loaded, the name a C string
        let status =
            self.within(|| unsafe { (self.driver.function)(&mut function, module, text.as_ptr()) });
        if status != 0 {
            return Err(self.driver.describe(status));
        }
        functions.insert(key, function);
        Ok(function)
    }
}

impl Kernels for Cuda {
    fn launch(&self, launch: &Launch<'_>) {
        let Launch {
            kernel,
            kind,
            blocks,
            threads,
            shared,
            ..
        } = *launch;
        if blocks == 0 {
            return;
        }
        let function = match self.function(kernel, kind) {
            Ok(function) => function,
            Err(why) => panic!("{FROM_KERNEL}{kernel} is missing: {why}"),
        };
        let bytes = shared * threads * kind.elt_size_in_bytes() as u32;
        let mut values = packed(launch, Device::Cuda(self.index));
        let mut places: Vec<*mut c_void> =
            values.iter_mut().map(|v| (&raw mut *v).cast()).collect();
        let mut stream = null_mut();
        // SAFETY: the place is that of a variable
        let has_stream = unsafe { astill_current_stream(self.index as i64, &mut stream) };
        assert!(has_stream, "{FROM_KERNEL}{kernel} has no stream to run on");
        // SAFETY: the function is that of a loaded kernel, and the arguments are those of its source,
        // which the driver copies before it returns; the stream is libtorch's, and so are the tensors,
        // whose memory is reused only in the order of that stream
        let status = self.within(|| unsafe {
            (self.driver.launch)(
                function,
                u32::try_from(blocks).unwrap_or(u32::MAX),
                1,
                1,
                threads,
                1,
                1,
                bytes,
                stream,
                places.as_mut_ptr(),
                null_mut(),
            )
        });
        if status != 0 {
            let why = self.driver.describe(status);
            panic!("{FROM_KERNEL}{kernel} was not launched: {why}");
        }
    }
}
