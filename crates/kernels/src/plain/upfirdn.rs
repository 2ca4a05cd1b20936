//! Up-sampling, filtering and down-sampling by its definition, see [`crate::upfirdn`].

use crate::Float;
use crate::upfirdn::UpFirDnShape;

/// `y [planes, out_h, out_w]` from `x [planes, h, w]` and `filter [fh, fw]`.
pub fn upfirdn2d<T: Float>(s: &UpFirDnShape, filter: &[T], x: &[T], y: &mut [T]) {
    let (oh, ow) = (s.out_h(), s.out_w());
    // The value of the zero-stuffed, padded image at a position that may lie outside.
    let stuffed = |plane: usize, row: i64, col: i64| {
        let (row, col) = (row - s.padding[2], col - s.padding[0]);
        let (ux, uy) = (s.up[0] as i64, s.up[1] as i64);
        let inside = row >= 0 && col >= 0 && row < s.h as i64 * uy && col < s.w as i64 * ux;
        if !inside || row % uy != 0 || col % ux != 0 {
            return 0.0;
        }
        x[(plane * s.h + (row / uy) as usize) * s.w + (col / ux) as usize].wide()
    };
    for (index, value) in y.iter_mut().enumerate() {
        let (plane, i, j) = (index / (oh * ow), index / ow % oh, index % ow);
        let mut sum = 0.0;
        for (a, b) in (0..s.fh).flat_map(|a| (0..s.fw).map(move |b| (a, b))) {
            let tap = if s.flip {
                a * s.fw + b
            } else {
                (s.fh - 1 - a) * s.fw + (s.fw - 1 - b)
            };
            let (row, col) = ((i * s.down[1] + a) as i64, (j * s.down[0] + b) as i64);
            sum += filter[tap].wide() * stuffed(plane, row, col);
        }
        *value = T::of(sum * s.gain);
    }
}
