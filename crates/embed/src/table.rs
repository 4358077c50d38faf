//! The static table: one vector per piece, as bytes with a scale. Owns the file's format and where its rows lie, knows
//! nothing of text. A table borrows its file: the bundled one is part of the binary, so that the system pages in only
//! the rows that prompts touch, and nothing is copied or allocated per table.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// Components of every vector.
pub const DIMENSIONS: usize = 256;

/// The vector of a text: of unit length, or zero for a text without known pieces.
pub type Embedding = [f32; DIMENSIONS];

/// The tensor of the rows and that of their scales.
const ROWS: &str = "embedding_int8";
const SCALES: &str = "row_scale";

static BYTES: &[u8] = include_bytes!("../data/minilm-static-256.int8.safetensors");

static BUNDLED: LazyLock<Table<'static>> =
    LazyLock::new(|| Table::parse(BYTES).expect("a test reads the bundled table"));

/// Why a file was refused as a table; reads after "failed to read the embedding table: ".
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TableError {
    /// The file ends before its header does.
    #[error(
        "the header needs {needed} bytes and the file has {length}; it is cut short or no safetensors file"
    )]
    Short {
        /// Bytes up to the end of the header.
        needed: u64,
        /// Bytes in the file.
        length: usize,
    },
    /// The header is not the JSON that safetensors files have.
    #[error("the header is not that of a safetensors file: {cause}")]
    Header {
        /// What the JSON parser says.
        cause: String,
    },
    /// A tensor is missing.
    #[error("no tensor `{name}`, only {found}; give a table of int8 rows with one scale each")]
    Missing {
        /// The tensor that was looked for.
        name: &'static str,
        /// The names of those there are.
        found: String,
    },
    /// A tensor has another element type.
    #[error("tensor `{name}` holds {found}, expected {expected}")]
    Type {
        /// The tensor.
        name: &'static str,
        /// The type it must have.
        expected: &'static str,
        /// The type it has.
        found: String,
    },
    /// A tensor has another shape.
    #[error("tensor `{name}` has shape {found:?}, expected {expected}")]
    Shape {
        /// The tensor.
        name: &'static str,
        /// The shape it must have, in words.
        expected: String,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// A tensor lies outside the file, or its length is not what its shape says.
    #[error(
        "tensor `{name}` lies at bytes {begin}..{end} of {available}, its shape needs {needed} bytes; the file is damaged"
    )]
    Place {
        /// The tensor.
        name: &'static str,
        /// Where the header says it begins, counted from the end of the header.
        begin: usize,
        /// Where the header says it ends.
        end: usize,
        /// Bytes after the header.
        available: usize,
        /// Bytes that the shape needs.
        needed: usize,
    },
    /// A scale is not a finite number.
    #[error("the scale of row {row} is {scale}, not a finite number; the file is damaged")]
    Scale {
        /// The row, counted from zero.
        row: usize,
        /// Its scale.
        scale: f32,
    },
    /// The table is of another vocabulary.
    #[error(
        "{rows} rows for {pieces} pieces of the vocabulary; table and vocabulary must be of the same model"
    )]
    Vocabulary {
        /// Rows of the table.
        rows: usize,
        /// Pieces of the vocabulary.
        pieces: usize,
    },
}

/// A table of one vector per piece: 256 signed bytes and the number to multiply them by.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    rows: &'a [[u8; DIMENSIONS]],
    scales: &'a [[u8; 4]],
}

impl Table<'static> {
    /// The bundled table, distilled from all-MiniLM-L6-v2; `data/README.md` has its origin and licence. Its header is
    /// read on first use (0.1 ms).
    pub fn bundled() -> Self {
        *BUNDLED
    }
}

impl<'a> Table<'a> {
    /// Reads a safetensors file with `embedding_int8` (I8, rows x 256) and `row_scale` (F32, rows).
    ///
    /// # Errors
    /// When the file is not such a table.
    pub fn parse(file: &'a [u8]) -> Result<Self, TableError> {
        let (header, data) = header(file)?;
        let rows = header.tensor(ROWS, "I8", data)?;
        let count = match rows.shape {
            [count, DIMENSIONS] => *count,
            found => return Err(shape(ROWS, format!("[pieces, {DIMENSIONS}]"), found)),
        };
        let scales = header.tensor(SCALES, "F32", data)?;
        if scales.shape != [count] {
            return Err(shape(SCALES, format!("[{count}], one per row"), scales.shape));
        }
        let table = Self { rows: rows.bytes.as_chunks().0, scales: scales.bytes.as_chunks().0 };
        match (0..count).map(|row| (row, table.scale(row))).find(|(_, scale)| !scale.is_finite()) {
            Some((row, scale)) => Err(TableError::Scale { row, scale }),
            None => Ok(table),
        }
    }

    /// How many rows there are: one per piece of the vocabulary.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Adds the row of a piece to a sum. A piece beyond the table adds nothing.
    pub(crate) fn add(&self, id: u32, sum: &mut Embedding) {
        let row = id as usize;
        if let Some(bytes) = self.rows.get(row) {
            let scale = self.scale(row);
            for (component, byte) in sum.iter_mut().zip(bytes) {
                *component += scale * f32::from(byte.cast_signed());
            }
        }
    }

    fn scale(&self, row: usize) -> f32 {
        self.scales.get(row).map_or(0.0, |bytes| f32::from_le_bytes(*bytes))
    }
}

/// What the header says of one tensor.
#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// The header: tensors by name. Free text under `__metadata__` is left out.
#[derive(Debug)]
struct Header(BTreeMap<String, Entry>);

/// A tensor found and checked.
struct Tensor<'h, 'a> {
    shape: &'h [usize],
    bytes: &'a [u8],
}

/// Tells the header from the data behind it. The format: eight bytes of length, little endian, JSON, data.
fn header(file: &[u8]) -> Result<(Header, &[u8]), TableError> {
    let short = |needed| TableError::Short { needed, length: file.len() };
    let (length, rest) = file.split_first_chunk().ok_or(short(8))?;
    let length = u64::from_le_bytes(*length);
    let (json, data) = usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length))
        .ok_or(short(length.saturating_add(8)))?;
    let cause = |error: serde_json::Error| TableError::Header { cause: error.to_string() };
    let mut fields: BTreeMap<String, serde_json::Value> = serde_json::from_slice(json).map_err(cause)?;
    fields.remove("__metadata__");
    let entries = fields.into_iter().map(|(name, value)| Ok((name, serde_json::from_value(value)?)));
    Ok((Header(entries.collect::<Result<_, _>>().map_err(cause)?), data))
}

impl Header {
    fn tensor<'h, 'a>(
        &'h self,
        name: &'static str,
        expected: &'static str,
        data: &'a [u8],
    ) -> Result<Tensor<'h, 'a>, TableError> {
        let Some(entry) = self.0.get(name) else {
            let names: Vec<String> = self.0.keys().map(|name| format!("`{name}`")).collect();
            let found = if names.is_empty() { "none at all".to_owned() } else { names.join(", ") };
            return Err(TableError::Missing { name, found });
        };
        if entry.dtype != expected {
            return Err(TableError::Type { name, expected, found: entry.dtype.clone() });
        }
        let width = if expected == "F32" { 4 } else { 1 };
        let needed = entry.shape.iter().fold(width, |product: usize, size| product.saturating_mul(*size));
        let [begin, end] = entry.data_offsets;
        match data.get(begin..end) {
            Some(bytes) if bytes.len() == needed => Ok(Tensor { shape: &entry.shape, bytes }),
            _ => Err(TableError::Place { name, begin, end, available: data.len(), needed }),
        }
    }
}

fn shape(name: &'static str, expected: String, found: &[usize]) -> TableError {
    TableError::Shape { name, expected, found: found.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this header and as many zero bytes behind it.
    fn file(header: &str, zeros: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.resize(file.len() + zeros, 0);
        file
    }

    fn two_tensors(rows: &str, scales: &str) -> String {
        format!(r#"{{"__metadata__":{{"source":"a test"}},"embedding_int8":{rows},"row_scale":{scales}}}"#)
    }

    const TWO_ROWS: &str = r#"{"dtype":"I8","shape":[2,256],"data_offsets":[8,520]}"#;
    const TWO_SCALES: &str = r#"{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;

    #[test]
    fn the_bundled_table_is_whole() {
        let table = Table::parse(BYTES).unwrap();
        assert_eq!(table.rows(), 30_522);
        assert_eq!(Table::bundled().rows(), table.rows());
        let mut sum = [0.0; DIMENSIONS];
        table.add(0, &mut sum);
        assert_eq!(sum, [0.0; DIMENSIONS], "special pieces have no meaning");
        table.add(7592, &mut sum);
        assert!(sum.iter().any(|component| *component != 0.0));
    }

    #[test]
    fn rows_are_bytes_times_scale() {
        let mut bytes = file(&two_tensors(TWO_ROWS, TWO_SCALES), 520);
        let data = bytes.len() - 520;
        bytes[data + 4..data + 8].copy_from_slice(&0.5f32.to_le_bytes());
        bytes[data + 8 + 256] = 3;
        bytes[data + 8 + 511] = 0xfe;
        let table = Table::parse(&bytes).unwrap();
        let mut sum = [1.0; DIMENSIONS];
        table.add(1, &mut sum);
        table.add(2, &mut sum);
        assert_eq!((sum[0], sum[1], sum[255]), (2.5, 1.0, 0.0));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let whole = file(&two_tensors(TWO_ROWS, TWO_SCALES), 520);
        let mut endless = whole.clone();
        let data = endless.len() - 520;
        endless[data..data + 4].copy_from_slice(&f32::INFINITY.to_le_bytes());
        let narrow = r#"{"dtype":"I8","shape":[2,128],"data_offsets":[8,264]}"#;
        let halves = r#"{"dtype":"F16","shape":[2],"data_offsets":[0,4]}"#;
        let three = r#"{"dtype":"F32","shape":[3],"data_offsets":[0,12]}"#;
        let backward = r#"{"dtype":"I8","shape":[2,256],"data_offsets":[520,8]}"#;
        let huge = r#"{"dtype":"I8","shape":[18446744073709551615,256],"data_offsets":[8,520]}"#;
        let files = [
            b"GGUF".to_vec(),
            b"<!DOCTYPE html>".to_vec(),
            file("[1, 2]", 0),
            file(r#"{"embedding_int8":{"dtype":"I8"}}"#, 0),
            file("{}", 0),
            file(r#"{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4),
            file(&two_tensors(TWO_ROWS, halves), 520),
            file(&two_tensors(narrow, TWO_SCALES), 520),
            file(&two_tensors(TWO_ROWS, three), 520),
            file(&two_tensors(TWO_ROWS, TWO_SCALES), 519),
            file(&two_tensors(backward, TWO_SCALES), 520),
            file(&two_tensors(huge, TWO_SCALES), 520),
            endless,
        ];
        let shown: Vec<String> = files
            .iter()
            .map(|file| format!("failed to read the embedding table: {}", Table::parse(file).unwrap_err()))
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
        assert!(Table::parse(&whole).is_ok());
    }
}
