//! Rows of numbers and their inner products with a query. Owns the two ways rows are kept and the loops over them,
//! knows nothing of identifiers or of ranking. Loops go over arrays of fixed length with one accumulator per lane:
//! floating-point addition may not be reordered by the compiler, so the lanes are what lets it use vector instructions.

/// Numbers per block; rows are padded with zeros to whole blocks.
const LANES: usize = 16;

/// How an index keeps its vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Four bytes per component.
    Full,
    /// One byte per component and one scale per entry: a quarter of the memory and time; similarities are off by less
    /// than 0.01, typically by 0.001.
    #[default]
    Byte,
}

/// All rows, one behind the other.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    /// Numbers per row, a multiple of [`LANES`].
    width: usize,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    Full(Vec<f32>),
    Byte { bytes: Vec<i8>, scales: Vec<f32> },
}

/// A vector to compare all rows with, in both forms.
pub(crate) struct Query {
    full: Vec<f32>,
    /// Sixteen bits, so that the error of a similarity is that of the row alone.
    short: Vec<i16>,
    scale: f32,
}

impl Query {
    pub(crate) fn new(unit: &[f32]) -> Self {
        let full = padded(unit.to_vec());
        let largest = full.iter().fold(0.0f32, |largest, component| largest.max(component.abs()));
        let sum: f32 = full.iter().map(|component| component.abs()).sum();
        if largest == 0.0 {
            return Self { short: vec![0; full.len()], full, scale: 0.0 };
        }
        // The second bound keeps every inner product with bytes within 32 bits; rounding takes at most half a step per
        // component, which the head-room of 2^30 instead of 2^31 covers.
        let steps = (f32::from(i16::MAX) / largest).min((1u32 << 30) as f32 / (127.0 * sum));
        let short = full.iter().map(|component| (component * steps).round() as i16).collect();
        Self { full, short, scale: steps.recip() }
    }
}

impl Rows {
    pub(crate) fn new(dimensions: usize, precision: Precision) -> Self {
        let values = match precision {
            Precision::Full => Values::Full(Vec::new()),
            Precision::Byte => Values::Byte { bytes: Vec::new(), scales: Vec::new() },
        };
        Self { width: dimensions.next_multiple_of(LANES), values }
    }

    pub(crate) fn push(&mut self, unit: &[f32]) {
        match &mut self.values {
            Values::Full(values) => values.extend(padded(unit.to_vec())),
            Values::Byte { bytes, scales } => {
                let (row, scale) = quantized(unit);
                bytes.extend(padded(row));
                scales.push(scale);
            }
        }
    }

    pub(crate) fn replace(&mut self, row: usize, unit: &[f32]) {
        let start = row * self.width;
        match &mut self.values {
            Values::Full(values) => values[start..start + unit.len()].copy_from_slice(unit),
            Values::Byte { bytes, scales } => {
                let (row_bytes, scale) = quantized(unit);
                bytes[start..start + unit.len()].copy_from_slice(&row_bytes);
                scales[row] = scale;
            }
        }
    }

    /// The first `length` numbers of a row.
    pub(crate) fn get(&self, row: usize, length: usize) -> Vec<f32> {
        let start = row * self.width;
        match &self.values {
            Values::Full(values) => values[start..start + length].to_vec(),
            Values::Byte { bytes, scales } => {
                let scale = scales[row];
                bytes[start..start + length].iter().map(|byte| f32::from(*byte) * scale).collect()
            }
        }
    }

    /// Removes a row; the last one takes its place.
    pub(crate) fn swap_remove(&mut self, row: usize) {
        match &mut self.values {
            Values::Full(values) => swap_remove(values, row, self.width),
            Values::Byte { bytes, scales } => {
                swap_remove(bytes, row, self.width);
                scales.swap_remove(row);
            }
        }
    }

    /// Calls `each` with the number of every row and its inner product with the query.
    pub(crate) fn scan(&self, query: &Query, mut each: impl FnMut(usize, f32)) {
        match &self.values {
            Values::Full(values) => {
                for (row, values) in values.chunks_exact(self.width).enumerate() {
                    each(row, full_product(values, &query.full));
                }
            }
            Values::Byte { bytes, scales } => {
                for (row, (bytes, scale)) in bytes.chunks_exact(self.width).zip(scales).enumerate() {
                    each(row, byte_product(bytes, &query.short) as f32 * (scale * query.scale));
                }
            }
        }
    }
}

fn full_product(row: &[f32], query: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    for (row, query) in row.as_chunks::<LANES>().0.iter().zip(query.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            lanes[lane] += row[lane] * query[lane];
        }
    }
    lanes.iter().sum()
}

fn byte_product(row: &[i8], query: &[i16]) -> i32 {
    let mut total = 0;
    for (row, query) in row.as_chunks::<LANES>().0.iter().zip(query.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            total += i32::from(row[lane]) * i32::from(query[lane]);
        }
    }
    total
}

/// Bytes in proportion to the largest component, and what to multiply them by.
fn quantized(unit: &[f32]) -> (Vec<i8>, f32) {
    let largest = unit.iter().fold(0.0f32, |largest, component| largest.max(component.abs()));
    if largest == 0.0 {
        return (vec![0; unit.len()], 0.0);
    }
    let steps = f32::from(i8::MAX) / largest;
    (unit.iter().map(|component| (component * steps).round() as i8).collect(), steps.recip())
}

fn padded<T: Default + Clone>(mut values: Vec<T>) -> Vec<T> {
    values.resize(values.len().next_multiple_of(LANES), T::default());
    values
}

fn swap_remove<T: Copy>(values: &mut Vec<T>, row: usize, width: usize) {
    let last = values.len() - width;
    values.copy_within(last.., row * width);
    values.truncate(last);
}
