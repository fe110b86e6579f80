//! A ConvNet whose derivatives are computed in a chosen way: by autograd, as those of networks
//! without analytic derivatives are, or by the kernels for GPUs, which run on the CPU here.
#![allow(dead_code)] // each test program uses a part

use astill_engine::kernels::{Kernels, Launch, packed};
use astill_engine::network::{Analytic, ConvNet, Mode, Network};
use rand_chacha::ChaCha8Rng;
use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Device, Kind, Tensor};

unsafe extern "C" {
    fn astill_emulate(
        kernel: *const c_char,
        is_double: bool,
        blocks: c_int,
        threads: c_int,
        arguments: *mut *mut c_void,
    ) -> bool;
}

/// One launch at a time: the emulator has one shared memory.
static EMULATOR: Mutex<()> = Mutex::new(());

/// The kernels on the CPU, with so many threads in a block.
#[derive(Debug)]
pub struct Emulated {
    pub threads: u32,
}

impl Kernels for Emulated {
    fn launch(&self, launch: &Launch<'_>) {
        let threads = self.threads as i64;
        // those kernels in which a block does nothing together need as many threads as on a GPU
        let blocks = match launch.shared {
            0 => launch.blocks * i64::from(launch.threads) / threads,
            _ => launch.blocks,
        };
        let name = CString::new(launch.kernel).unwrap_or_default();
        let mut values = packed(launch, Device::Cpu);
        let mut places: Vec<*mut c_void> =
            values.iter_mut().map(|v| (&raw mut *v).cast()).collect();
        let held = EMULATOR.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the arguments are those of the kernel, on the CPU, and live until it returns
        let found = unsafe {
            astill_emulate(
                name.as_ptr(),
                launch.kind == Kind::Double,
                blocks as c_int,
                threads as c_int,
                places.as_mut_ptr(),
            )
        };
        drop(held);
        assert!(found, "the emulator has no kernel {}", launch.kernel);
    }
}

/// How a network is differentiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As the network chooses.
    Chosen,
    Autograd,
    /// By kernels, with so many threads in a block.
    Kernels(u32),
}

#[derive(Debug)]
pub struct Differentiated {
    pub net: ConvNet,
    pub way: Way,
}

impl Network for Differentiated {
    fn parameters(&self) -> i64 {
        self.net.parameters()
    }

    fn shapes(&self) -> Vec<Vec<i64>> {
        self.net.shapes()
    }

    fn classes(&self) -> i64 {
        self.net.classes()
    }

    fn init(&self, rng: &mut ChaCha8Rng) -> Tensor {
        self.net.init(rng)
    }

    fn init_running(&self) -> Tensor {
        self.net.init_running()
    }

    fn forward_in(&self, mode: Mode<'_>, theta: &Tensor, images: &Tensor) -> Tensor {
        self.net.forward_in(mode, theta, images)
    }

    fn conv_outputs(&self) -> Vec<i64> {
        self.net.conv_outputs()
    }

    fn conv_weights(&self, flat: &Tensor) -> Vec<Tensor> {
        self.net.conv_weights(flat)
    }

    fn mirrored(&self, theta: &Tensor) -> Tensor {
        self.net.mirrored(theta)
    }

    fn analytic(&self, images: &Tensor) -> Option<Box<dyn Analytic + '_>> {
        match self.way {
            Way::Chosen => self.net.analytic(images),
            Way::Autograd => None,
            Way::Kernels(threads) => {
                assert_eq!(images.device(), Device::Cpu);
                self.net
                    .analytic_with(Arc::new(Emulated { threads }), images)
            }
        }
    }
}
