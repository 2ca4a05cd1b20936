//! 3×3 matrices: homogeneous coordinates `(x, y, 1)` of the plane, and turns of colours.

/// Rows.
pub(super) type Matrix = [[f64; 3]; 3];

/// Leaves everything where it is.
pub(super) const IDENTITY: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// `a b`.
pub(super) fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let entry = |i: usize, j: usize| (0..3).map(|k| a[i][k] * b[k][j]).sum();
    std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j)))
}

/// `m (x, y, 1)`, for an affine `m`.
pub(super) fn transform(m: &Matrix, [x, y]: [f64; 2]) -> [f64; 2] {
    [0, 1].map(|i| m[i][0] * x + m[i][1] * y + m[i][2])
}

pub(super) fn shift(x: f64, y: f64) -> Matrix {
    [[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]]
}

pub(super) fn scale(x: f64, y: f64) -> Matrix {
    [[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]]
}

/// By `angle` in radians, from x towards y.
pub(super) fn rotate(angle: f64) -> Matrix {
    let (sin, cos) = angle.sin_cos();
    [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]
}
