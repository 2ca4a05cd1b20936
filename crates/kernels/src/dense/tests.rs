use super::*;
use crate::plain;
use crate::testing::{assert_close, noise};

/// m, n, k: single, prime, multiples of the vector and not, more than one block and pass.
const SIZES: [[usize; 3]; 9] = [
    [1, 1, 1],
    [3, 5, 7],
    [14, 32, 16],
    [17, 33, 129],
    [113, 16, 128],
    [127, 48, 31],
    [8, 97, 513],
    [225, 70, 640],
    [100, 300, 1100],
];

fn operand(data: &[f32], rows: usize, cols: usize, form: usize) -> MatRef<'_, f32> {
    match form {
        0 => MatRef::row_major(data, rows, cols),
        1 => MatRef::transposed(data, cols, rows),
        // Neither rows nor columns are contiguous.
        _ => MatRef {
            data,
            row_stride: 2 * cols,
            col_stride: 2,
            batch_stride: 0,
        },
    }
}

#[test]
fn every_instruction_set_agrees_with_plain() {
    for [m, n, k] in SIZES {
        let (x, b) = (noise::<f32>(2 * m * k, 1), noise::<f32>(2 * k * n, 2));
        let bias = noise::<f32>(n, 3);
        let p = Product { batch: 1, m, n, k };
        for (left, right) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)] {
            let (a, b) = (operand(&x, m, k, left), operand(&b, k, n, right));
            let mut want = vec![0.0; m * n];
            plain::gemm(p, 1.0, a, b, 0.0, &mut want);
            for isa in Isa::available() {
                let packed = PackedMatrix::on(isa, k, n, b).unwrap();
                let mut got = vec![f32::NAN; m * n];
                packed.run(m, a, None, &mut got).unwrap();
                assert_close(&got, &want, 1e-5);
                packed.run(m, a, Some(&bias), &mut got).unwrap();
                for (i, got) in got.iter_mut().enumerate() {
                    *got -= bias[i % n];
                }
                assert_close(&got, &want, 1e-5);
            }
            let mut got = vec![f32::NAN; m * n];
            product(p, a, b, &mut got);
            assert_close(&got, &want, 1e-5);
        }
    }
}

#[test]
fn rows_that_would_clash_are_moved() {
    let (m, n, k) = (20, 40, CLASHING);
    let (x, b) = (noise::<f32>(m * k, 1), noise::<f32>(k * n, 2));
    let p = Product { batch: 1, m, n, k };
    let (a, b) = (MatRef::row_major(&x, m, k), MatRef::row_major(&b, k, n));
    let (mut got, mut want) = (vec![f32::NAN; m * n], vec![0.0; m * n]);
    plain::gemm(p, 1.0, a, b, 0.0, &mut want);
    product(p, a, b, &mut got);
    assert_close(&got, &want, 1e-5);
}

const CLASHING: usize = 1024;

#[test]
fn what_does_not_fit_is_refused() {
    let b = [0f32; 6];
    assert!(PackedMatrix::new(0, 2, MatRef::row_major(&b, 0, 2)).is_err());
    assert!(PackedMatrix::new(3, 3, MatRef::row_major(&b, 3, 3)).is_err());
    assert!(PackedMatrix::new(usize::MAX, 2, MatRef::row_major(&b, usize::MAX, 2)).is_err());
    let packed = PackedMatrix::new(3, 2, MatRef::row_major(&b, 3, 2)).unwrap();
    assert_eq!((packed.k(), packed.n()), (3, 2));
    assert!(packed.bytes() >= 6 * 4);
    let x = [0f32; 6];
    let rows = MatRef::row_major(&x, 2, 3);
    assert!(packed.run(2, rows, None, &mut [0.0; 4]).is_ok());
    assert!(packed.run(3, rows, None, &mut [0.0; 6]).is_err());
    assert!(packed.run(2, rows, None, &mut [0.0; 3]).is_err());
    assert!(packed.run(2, rows, Some(&[0.0; 3]), &mut [0.0; 4]).is_err());
    assert!(packed.run(0, rows, None, &mut []).is_err());
}
