//! The weights in their file.
//!
//! Owns finding tensors by name, their shapes and their number formats. Must not know what they are for.

use super::error::FolderError;
use ndarray::{Array1, Array2};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};

/// An open file of weights.
pub(super) struct Tensors<'a> {
    file: SafeTensors<'a>,
    /// Before every name, where the model was saved as a part of another.
    prefix: &'static str,
}

/// Where the model begins in files that were saved with a head on top.
const PREFIX: &str = "bert.";

impl<'a> Tensors<'a> {
    /// Opens a file; `probe` is a tensor that every model has.
    pub(super) fn open(bytes: &'a [u8], probe: &str) -> Result<Self, FolderError> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|error| FolderError::Weights { cause: error.to_string() })?;
        let prefixed = file.tensor(probe).is_err() && file.tensor(&format!("{PREFIX}{probe}")).is_ok();
        Ok(Self { file, prefix: if prefixed { PREFIX } else { "" } })
    }

    /// A matrix of that shape.
    pub(super) fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Array2<f32>, FolderError> {
        let values = self.values(name, &[rows, columns])?;
        Ok(Array2::from_shape_vec((rows, columns), values).expect("the shape was compared"))
    }

    /// A vector of that length.
    pub(super) fn vector(&self, name: &str, length: usize) -> Result<Array1<f32>, FolderError> {
        Ok(Array1::from_vec(self.values(name, &[length])?))
    }

    fn values(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, FolderError> {
        let tensor = match self.file.tensor(&format!("{}{name}", self.prefix)) {
            Ok(tensor) => tensor,
            Err(SafeTensorError::TensorNotFound(_)) => {
                return Err(FolderError::Missing { name: name.to_owned(), count: self.file.len() });
            }
            Err(error) => return Err(FolderError::Weights { cause: error.to_string() }),
        };
        if tensor.shape() != expected {
            return Err(FolderError::Shape {
                name: name.to_owned(),
                found: tensor.shape().to_vec(),
                expected: expected.to_vec(),
            });
        }
        let values = numbers(&tensor).ok_or_else(|| FolderError::Elements {
            name: name.to_owned(),
            found: format!("{:?}", tensor.dtype()),
        })?;
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(FolderError::NotFinite { name: name.to_owned() }),
        }
    }
}

fn numbers(tensor: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = tensor.data();
    let halves = || data.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes));
    match tensor.dtype() {
        Dtype::F32 => Some(data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
        Dtype::BF16 => Some(halves().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()),
        Dtype::F16 => Some(halves().map(half).collect()),
        _ => None,
    }
}

/// A number of IEEE 754 half precision.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1_024.0) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn halves_are_read_exactly() {
        let known = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65_504.0),
            (0x0001, 5.960_464_5e-8),
            (0x0400, 6.103_515_6e-5),
        ];
        for (bits, value) in known {
            assert_eq!(half(bits), value, "{bits:04x}");
        }
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }
}
