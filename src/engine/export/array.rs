//! The numbers of a tensor as bytes.

use astill_core::{Error, Result};
use tch::{Device, Kind, Tensor};

/// Numbers in little-endian order, row after row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    pub kind: Number,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// The types of numbers that are exported, with their name in NumPy and the storage's in PyTorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    U8,
    I64,
    F32,
    F64,
}

impl Number {
    pub fn numpy(self) -> &'static str {
        match self {
            Self::U8 => "|u1",
            Self::I64 => "<i8",
            Self::F32 => "<f4",
            Self::F64 => "<f8",
        }
    }

    pub fn storage(self) -> &'static str {
        match self {
            Self::U8 => "ByteStorage",
            Self::I64 => "LongStorage",
            Self::F32 => "FloatStorage",
            Self::F64 => "DoubleStorage",
        }
    }
}

impl Array {
    /// A copy of a tensor.
    ///
    /// # Errors
    /// Numbers of a type that is not exported.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        let kind = match tensor.kind() {
            Kind::Uint8 => Number::U8,
            Kind::Int64 => Number::I64,
            Kind::Float => Number::F32,
            Kind::Double => Number::F64,
            other => {
                return Err(Error::Usage(format!(
                    "expected u8, i64, f32 or f64, found numbers of type {other:?}"
                )));
            }
        };
        let host = tensor.detach().to_device(Device::Cpu).contiguous();
        let mut bytes = vec![0u8; host.numel() * host.kind().elt_size_in_bytes()];
        host.copy_data_u8(&mut bytes, host.numel());
        Ok(Self {
            kind,
            shape: host.size().iter().map(|d| *d as usize).collect(),
            bytes,
        })
    }

    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}
