//! Libraries that are loaded at run time because only some machines have them.

use std::ffi::{CStr, c_void};

/// A library; it stays loaded.
#[derive(Debug, Clone, Copy)]
pub struct Library(*mut c_void);

// SAFETY: a handle of the loader may be used from any thread
unsafe impl Send for Library {}
// SAFETY: as above
unsafe impl Sync for Library {}

impl Library {
    /// Loads the library of this name or path, for those that are loaded later too.
    ///
    /// # Errors
    /// The loader's message.
    pub fn load(name: &CStr) -> Result<Self, String> {
        // SAFETY: the name is a C string; what is loaded here is made to be loaded at any time
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        if !handle.is_null() {
            return Ok(Self(handle));
        }
        // SAFETY: the text is valid until the next call of these functions, and is copied here
        let text = unsafe {
            let text = libc::dlerror();
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        };
        Err(text.unwrap_or_else(|| "unknown reason".into()))
    }

    /// A function of it, if it has one of this name.
    ///
    /// # Safety
    /// `F` is the type of a pointer to that function.
    pub unsafe fn function<F: Copy>(&self, name: &CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: the handle is that of a loaded library, the name a C string
        let symbol = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        // SAFETY: a pointer to a function has the size of this one, and `F` is its type
        (!symbol.is_null()).then(|| unsafe { std::mem::transmute_copy(&symbol) })
    }
}
