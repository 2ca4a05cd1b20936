//! Colours as three numbers in `[0, 1]`, gamma-encoded as in a picture file.

/// Red, green, blue.
pub(crate) type Rgb = [f32; 3];

/// From a byte triple, as colours are usually written.
pub(crate) const fn rgb(hex: u32) -> Rgb {
    [
        ((hex >> 16) & 255) as f32 / 255.0,
        ((hex >> 8) & 255) as f32 / 255.0,
        (hex & 255) as f32 / 255.0,
    ]
}

/// Between two colours.
#[inline]
pub(crate) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    // Written out: `map` over indices is called, not inlined, and this runs for every layer of every pixel.
    [
        a[0] + (b[0] - a[0]) * t,
        a[1] + (b[1] - a[1]) * t,
        a[2] + (b[2] - a[2]) * t,
    ]
}

/// Darker (below 1) or lighter.
pub(crate) fn times(a: Rgb, factor: f32) -> Rgb {
    a.map(|x| x * factor)
}

/// Hue once around the circle, saturation and value in `[0, 1]`.
pub(crate) fn hsv(hue: f32, saturation: f32, value: f32) -> Rgb {
    [5.0_f32, 3.0, 1.0].map(|n| {
        let k = (n + 6.0 * hue).rem_euclid(6.0);
        value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0))
    })
}

/// Perceived brightness (Rec. 601).
pub(crate) fn luma(a: Rgb) -> f32 {
    0.299 * a[0] + 0.587 * a[1] + 0.114 * a[2]
}

/// Several colours along `[0, 1]`, evenly spaced.
pub(crate) fn ramp(stops: &[Rgb], t: f32) -> Rgb {
    let last = stops.len() - 1;
    let x = t.clamp(0.0, 1.0) * last as f32;
    let i = (x as usize).min(last.saturating_sub(1));
    mix(stops[i], stops[(i + 1).min(last)], x - i as f32)
}
