//! Stacking of acting matrices and their decomposition, in float64 on the CPU.

use candle_core::{DType, Device, Tensor};
use faer::{Mat, MatRef};

use super::BasisKind;
use crate::{ActingMatrix, Error, Result};

/// Two magnitudes closer than this, relatively, count as equal in the sign rule.
const SIGN_TIE: f64 = 1e-6;

/// The matrices of a kind, in order, and whether their rows are brought to unit length.
pub(super) fn choose<'a>(
    kind: &BasisKind,
    matrices: &'a [ActingMatrix],
) -> Result<(Vec<&'a ActingMatrix>, bool)> {
    let all: Vec<_> = matrices.iter().filter(|m| m.kinds.holds(kind)).collect();
    let (chosen, unit_rows) = match kind {
        BasisKind::DomainExpansion => (all, false),
        BasisKind::Genforce { layers } => (pick_layers(&all, layers.as_deref())?, true),
        BasisKind::Given => {
            return Err(Error::setting(
                "basis kind",
                "given",
                "a kind that can be computed",
            ));
        }
    };
    if chosen.is_empty() {
        let found = format!("none of {} fits", matrices.len());
        return Err(Error::setting(
            "acting matrices",
            found,
            "at least one that this kind of basis takes",
        ));
    }
    Ok((chosen, unit_rows))
}

fn pick_layers<'a>(
    all: &[&'a ActingMatrix],
    layers: Option<&[usize]>,
) -> Result<Vec<&'a ActingMatrix>> {
    let Some(layers) = layers else {
        return Ok(all.to_vec());
    };
    let mut layers = layers.to_vec();
    layers.sort_unstable();
    layers.dedup();
    let pick = |&i: &usize| {
        all.get(i).copied().ok_or_else(|| {
            Error::setting(
                "basis layer",
                i,
                format!("0 to {}", all.len().saturating_sub(1)),
            )
        })
    };
    layers.iter().map(pick).collect()
}

/// Concatenates `[rows_i, D]` along rows.
pub(super) fn stack(matrices: &[&ActingMatrix], unit_rows: bool) -> Result<Mat<f64>> {
    let dim = matrices
        .first()
        .and_then(|m| m.weight.dims().get(1).copied())
        .unwrap_or(0);
    let mut rows = Vec::new();
    for m in matrices {
        if m.weight.rank() != 2 || m.weight.dims()[1] != dim || m.weight.elem_count() == 0 {
            return Err(Error::shape(
                &m.name,
                format!("[rows, {}]", dim.max(1)),
                m.weight.dims(),
            ));
        }
        let start = rows.len();
        rows.extend(to_f64(&m.name, &m.weight)?);
        if unit_rows {
            rows[start..].chunks_exact_mut(dim).for_each(to_unit_length);
        }
    }
    Ok(MatRef::from_row_major_slice(&rows, rows.len() / dim, dim).to_owned())
}

fn to_unit_length(row: &mut [f64]) {
    let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
    if norm > 0.0 {
        row.iter_mut().for_each(|x| *x /= norm);
    }
}

/// Entries in row-major order, checked to be finite.
fn to_f64(what: &str, tensor: &Tensor) -> Result<Vec<f64>> {
    // First to the CPU: some devices have no float64.
    let flat = tensor.detach().to_device(&Device::Cpu)?.flatten_all()?;
    let values: Vec<f64> = flat.to_dtype(DType::F64)?.to_vec1()?;
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(Error::NotFinite {
            what: what.to_owned(),
            index,
            value: values[index],
        }),
        None => Ok(values),
    }
}

/// `V [D, K]` with signs fixed, and the K singular values, falling.
pub(super) fn right_singular_vectors(w: &Mat<f64>) -> Result<(Tensor, Vec<f64>)> {
    let failed = |_| Error::Factorisation {
        what: "singular value decomposition",
        rows: w.nrows(),
        columns: w.ncols(),
    };
    // W = QR has the right singular vectors of R, which is much smaller when W is tall. Unlike the
    // Gram matrix, R does not square the condition number: small values stay accurate.
    let svd = if w.nrows() > w.ncols() {
        w.qr().thin_R().to_owned().thin_svd()
    } else {
        w.thin_svd()
    }
    .map_err(failed)?;
    let (v, s) = (svd.V(), svd.S().column_vector());
    let values: Vec<f64> = s.iter().copied().collect();
    let (dim, count) = v.shape();
    let mut rows = vec![0.0; dim * count];
    for j in 0..count {
        let column: Vec<f64> = v.col(j).iter().copied().collect();
        let sign = if sign_is_flipped(&column) { -1.0 } else { 1.0 };
        for (i, x) in column.iter().enumerate() {
            rows[i * count + j] = sign * x;
        }
    }
    Ok((Tensor::from_vec(rows, (dim, count), &Device::Cpu)?, values))
}

/// True when the deciding entry is negative.
fn sign_is_flipped(column: &[f64]) -> bool {
    let largest = column.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    column
        .iter()
        .find(|x| x.abs() >= largest * (1.0 - SIGN_TIE))
        .is_some_and(|x| *x < 0.0)
}

/// `‖W v_j‖` for each column of `vectors: [D, K]`.
pub(super) fn gains(w: &Mat<f64>, vectors: &Tensor) -> Result<Vec<f64>> {
    let v = to_mat(vectors)?;
    if v.nrows() != w.ncols() {
        return Err(Error::shape(
            "basis",
            format!("[{}, directions]", w.ncols()),
            vectors.dims(),
        ));
    }
    let product = w * &v;
    Ok((0..v.ncols()).map(|j| product.col(j).norm_l2()).collect())
}

fn to_mat(vectors: &Tensor) -> Result<Mat<f64>> {
    let (rows, columns) = match *vectors.dims() {
        [d, k] if k > 0 && k <= d => (d, k),
        _ => {
            return Err(Error::shape(
                "basis",
                "[D, K] with 0 < K <= D",
                vectors.dims(),
            ));
        }
    };
    let values = to_f64("basis", vectors)?;
    Ok(MatRef::from_row_major_slice(&values, rows, columns).to_owned())
}

/// Checks the shape, the entries, and `VᵀV = I`.
pub(super) fn check_orthonormal(vectors: &Tensor) -> Result<()> {
    let tolerance = match vectors.dtype() {
        DType::F64 | DType::F32 => 1e-4,
        DType::F16 => 5e-3,
        DType::BF16 => 4e-2,
        other => return Err(Error::setting("basis type", other.as_str(), "a float type")),
    };
    let v = to_mat(vectors)?;
    let gram = v.transpose() * &v;
    for column in 0..gram.ncols() {
        for row in 0..=column {
            let expected = if row == column { 1.0 } else { 0.0 };
            let found = gram[(row, column)];
            if (found - expected).abs() > tolerance {
                return Err(Error::NotOrthonormal {
                    row,
                    column,
                    found,
                    expected,
                    tolerance,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_rule_is_deaf_to_rounding() {
        assert!(!sign_is_flipped(&[0.1, 0.9, -0.3]));
        assert!(sign_is_flipped(&[0.1, -0.9, 0.3]));
        // A tie: the first decides, also when noise makes the second a little larger.
        assert!(!sign_is_flipped(&[0.5, -0.5]));
        assert!(!sign_is_flipped(&[0.5, -0.5 - 1e-12]));
        assert!(sign_is_flipped(&[-0.5, 0.5 + 1e-12]));
    }

    #[test]
    fn a_zero_row_stays_zero() {
        let mut row = [0.0, 0.0];
        to_unit_length(&mut row);
        assert_eq!(row, [0.0, 0.0]);
        let mut row = [3.0, 4.0];
        to_unit_length(&mut row);
        assert!((row[0] - 0.6).abs() < 1e-15 && (row[1] - 0.8).abs() < 1e-15);
    }
}
