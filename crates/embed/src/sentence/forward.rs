//! The forward pass of BERT (Devlin et al., 2019, <https://arxiv.org/abs/1810.04805>), without dropout and for one text.
//!
//! Owns the layers. One text at a time needs no padding and no mask, which is where implementations differ from each other.

use super::error::FolderError;
use super::folder::{Activation, Settings};
use super::tensors::Tensors;
use ndarray::{Array1, Array2, s};

/// A model's weights.
#[derive(Debug)]
pub(super) struct Model {
    words: Array2<f32>,
    positions: Array2<f32>,
    /// What is added to every piece of a text that stands alone.
    kind: Array1<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    heads: usize,
    activation: Activation,
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    mixed: Linear,
    mixed_norm: Norm,
    inner: Linear,
    outer: Linear,
    outer_norm: Norm,
}

#[derive(Debug)]
struct Linear {
    /// One row per component of the result.
    weight: Array2<f32>,
    bias: Array1<f32>,
}

#[derive(Debug)]
struct Norm {
    weight: Array1<f32>,
    bias: Array1<f32>,
    epsilon: f32,
}

const WORDS: &str = "embeddings.word_embeddings.weight";

impl Model {
    pub(super) fn read(bytes: &[u8], settings: &Settings, pieces: usize) -> Result<Self, FolderError> {
        let tensors = Tensors::open(bytes, WORDS)?;
        let width = settings.width;
        let kinds = tensors.matrix("embeddings.token_type_embeddings.weight", settings.kinds, width)?;
        let layers = (0..settings.layers).map(|number| Layer::read(&tensors, number, settings));
        Ok(Self {
            words: tensors.matrix(WORDS, pieces, width)?,
            positions: tensors.matrix("embeddings.position_embeddings.weight", settings.positions, width)?,
            kind: kinds.row(0).to_owned(),
            norm: Norm::read(&tensors, "embeddings.LayerNorm", settings)?,
            layers: layers.collect::<Result<_, _>>()?,
            heads: settings.heads,
            activation: settings.activation,
        })
    }

    /// Components of every vector.
    pub(super) fn width(&self) -> usize {
        self.words.ncols()
    }

    /// The last layer's vectors, one row per piece. There are no more pieces than positions.
    pub(super) fn forward(&self, pieces: &[u32]) -> Array2<f32> {
        let mut states = Array2::zeros((pieces.len(), self.width()));
        for (place, (mut row, piece)) in states.rows_mut().into_iter().zip(pieces).enumerate() {
            row += &self.words.row(*piece as usize);
            row += &self.positions.row(place);
            row += &self.kind;
        }
        self.norm.apply(&mut states);
        for layer in &self.layers {
            states = layer.forward(&states, self.heads, self.activation);
        }
        states
    }
}

impl Layer {
    fn read(tensors: &Tensors<'_>, number: usize, settings: &Settings) -> Result<Self, FolderError> {
        let (width, inner) = (settings.width, settings.inner);
        let linear =
            |name: &str, from, to| Linear::read(tensors, &format!("encoder.layer.{number}.{name}"), from, to);
        let norm = |name: &str| Norm::read(tensors, &format!("encoder.layer.{number}.{name}"), settings);
        Ok(Self {
            query: linear("attention.self.query", width, width)?,
            key: linear("attention.self.key", width, width)?,
            value: linear("attention.self.value", width, width)?,
            mixed: linear("attention.output.dense", width, width)?,
            mixed_norm: norm("attention.output.LayerNorm")?,
            inner: linear("intermediate.dense", width, inner)?,
            outer: linear("output.dense", inner, width)?,
            outer_norm: norm("output.LayerNorm")?,
        })
    }

    fn forward(&self, states: &Array2<f32>, heads: usize, activation: Activation) -> Array2<f32> {
        let attended = self.attend(states, heads);
        let mut mixed = self.mixed.apply(&attended);
        mixed += states;
        self.mixed_norm.apply(&mut mixed);
        let mut inner = self.inner.apply(&mixed);
        inner.mapv_inplace(|value| activation.apply(value));
        let mut outer = self.outer.apply(&inner);
        outer += &mixed;
        self.outer_norm.apply(&mut outer);
        outer
    }

    fn attend(&self, states: &Array2<f32>, heads: usize) -> Array2<f32> {
        let (query, key, value) =
            (self.query.apply(states), self.key.apply(states), self.value.apply(states));
        let size = states.ncols() / heads;
        let scale = (size as f32).sqrt().recip();
        let mut attended = Array2::zeros(states.dim());
        for head in 0..heads {
            let columns = s![.., head * size..(head + 1) * size];
            let mut scores = query.slice(columns).dot(&key.slice(columns).t());
            scores *= scale;
            for mut row in scores.rows_mut() {
                let most = row.fold(f32::NEG_INFINITY, |most, score| most.max(*score));
                row.mapv_inplace(|score| (score - most).exp());
                let sum = row.sum();
                row /= sum;
            }
            attended.slice_mut(columns).assign(&scores.dot(&value.slice(columns)));
        }
        attended
    }
}

impl Linear {
    fn read(tensors: &Tensors<'_>, name: &str, from: usize, to: usize) -> Result<Self, FolderError> {
        Ok(Self {
            weight: tensors.matrix(&format!("{name}.weight"), to, from)?,
            bias: tensors.vector(&format!("{name}.bias"), to)?,
        })
    }

    fn apply(&self, states: &Array2<f32>) -> Array2<f32> {
        let mut result = states.dot(&self.weight.t());
        result += &self.bias;
        result
    }
}

impl Norm {
    fn read(tensors: &Tensors<'_>, name: &str, settings: &Settings) -> Result<Self, FolderError> {
        Ok(Self {
            weight: tensors.vector(&format!("{name}.weight"), settings.width)?,
            bias: tensors.vector(&format!("{name}.bias"), settings.width)?,
            epsilon: settings.epsilon,
        })
    }

    fn apply(&self, states: &mut Array2<f32>) {
        for mut row in states.rows_mut() {
            let number = row.len() as f32;
            let mean = row.sum() / number;
            row -= mean;
            let variance = row.fold(0.0, |sum, value| sum + value * value) / number;
            row *= (variance + self.epsilon).sqrt().recip();
            row *= &self.weight;
            row += &self.bias;
        }
    }
}

impl Activation {
    fn apply(self, value: f32) -> f32 {
        match self {
            Self::Gelu => 0.5 * value * (1.0 + libm::erff(value * std::f32::consts::FRAC_1_SQRT_2)),
            Self::GeluTanh => {
                let inner = (2.0 / std::f32::consts::PI).sqrt() * (value + 0.044_715 * value.powi(3));
                0.5 * value * (1.0 + inner.tanh())
            }
            Self::Relu => value.max(0.0),
        }
    }
}
