//! Animated pictures: GIF files that play everywhere, lossless WebP files with all their colours, and MP4 films.
//!
//! All frames of a GIF share one [`Palette`], so that still areas stay still. A traversal
//! may carry a slider under the picture that shows where on the way the frame is.

mod mp4;
mod webp;

use std::io::Cursor;
use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, Rgb, RgbImage, imageops};

use crate::error::{Error, Result};
use crate::folder::write_atomic;
use crate::grid::fitted;
use crate::palette::Palette;
use crate::picture::same_size;
use crate::text::Font;

/// The form of an animation's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 256 colours for all frames.
    Gif,
    /// Lossless WebP.
    WebP,
    /// H.264 in MP4.
    Mp4,
}

impl Format {
    /// The ending of such files.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Gif => "gif",
            Self::WebP => "webp",
            Self::Mp4 => "mp4",
        }
    }

    /// The form that a file's ending asks for.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        [Self::Gif, Self::WebP, Self::Mp4]
            .into_iter()
            .find(|format| format.extension() == ending)
    }
}

/// An animation being put together. Make one with [`Animation::new`], then [`Animation::write`].
///
/// ```
/// use domex_data::animation::{Animation, Format};
/// let frames = vec![image::RgbImage::new(64, 64); 5];
/// let gif = Animation::new(frames).fps(25.0).ping_pong(true).encode(Format::Gif)?;
/// assert_eq!(&gif[..6], b"GIF89a");
/// # Ok::<(), domex_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Animation {
    frames: Vec<RgbImage>,
    delay_ms: u32,
    ping_pong: bool,
    height: Option<u32>,
    slider: Option<Slider>,
}

/// The side that small frames are enlarged to.
const AT_LEAST: u32 = 256;

/// The longest side of a frame: a GIF's are 16-bit numbers.
const AT_MOST: u32 = 8192;

/// Pixels of all frames, 3 GiB: they are held in memory until the file is written.
const MOST_PIXELS: u64 = 1 << 30;

/// What the slider shows.
#[derive(Debug, Clone)]
struct Slider {
    label: String,
    values: Vec<f64>,
}

impl Animation {
    /// An endless loop of frames of one size, 60 ms each.
    #[must_use]
    pub fn new(frames: Vec<RgbImage>) -> Self {
        Self {
            frames,
            delay_ms: 60,
            ping_pong: false,
            height: None,
            slider: None,
        }
    }

    /// Frames a second. GIF counts in hundredths of a second; browsers slow down above 50.
    #[must_use]
    pub fn fps(mut self, fps: f64) -> Self {
        self.delay_ms = (1000.0 / fps).round().clamp(20.0, 60_000.0) as u32;
        self
    }

    /// Whether the frames play forwards and then backwards.
    #[must_use]
    pub fn ping_pong(mut self, yes: bool) -> Self {
        self.ping_pong = yes;
        self
    }

    /// The height in which frames are shown, without the slider. Unless set, small frames are enlarged by a whole
    /// factor until a side has 256 pixels.
    #[must_use]
    pub fn height(mut self, height: u32) -> Self {
        self.height = Some(height.max(1));
        self
    }

    /// A slider under the picture, with a label and one value per frame.
    #[must_use]
    pub fn slider(mut self, label: impl Into<String>, values: &[f64]) -> Self {
        self.slider = Some(Slider {
            label: label.into(),
            values: values.to_vec(),
        });
        self
    }

    /// One more frame. No more of it is kept than is shown.
    pub fn push(&mut self, frame: RgbImage) {
        let (w, h) = self.size(frame.dimensions());
        self.frames.push(match w < frame.width() {
            true => fitted(&frame, w, h),
            false => frame,
        });
    }

    /// Whether frames of this size can be shown, one for each value of the slider, for those who are about to make them.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when they are too large, or too many for their size.
    pub fn check(&self, (w, h): (u32, u32)) -> Result<()> {
        if w.max(h) > AT_MOST {
            return Err(Error::Shape {
                what: "frames of an animation",
                found: format!("{w} × {h}"),
                expected: format!("at most {AT_MOST} × {AT_MOST}: use fewer or smaller pictures"),
            });
        }
        let count = self
            .slider
            .as_ref()
            .map_or(self.frames.len(), |slider| slider.values.len());
        let (w, h) = self.size((w, h));
        if u64::from(w) * u64::from(h) * count as u64 > MOST_PIXELS {
            return Err(Error::Shape {
                what: "frames of an animation",
                found: format!("{count} of {w} × {h}"),
                expected: format!(
                    "at most {MOST_PIXELS} pixels in all: use fewer frames, or fewer or smaller pictures"
                ),
            });
        }
        Ok(())
    }

    /// The size in which frames of this size are shown, without the slider.
    fn size(&self, (w, h): (u32, u32)) -> (u32, u32) {
        let (longer, height) = (w.max(h).max(1), h.max(1));
        let shown = self
            .height
            .unwrap_or_else(|| height * AT_LEAST.div_ceil(longer))
            .min((u64::from(AT_MOST) * u64::from(height) / u64::from(longer)) as u32);
        let width = (f64::from(w) * f64::from(shown) / f64::from(height)).round() as u32;
        (width.max(1), shown.max(1))
    }

    /// The frames as they will be shown, each once: enlarged, and with the slider.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when there is no frame, sizes differ, or there are not as many values as frames.
    pub fn frames(&self) -> Result<Vec<RgbImage>> {
        let (w, h) = same_size(&self.frames)?;
        self.check((w, h))?;
        let (width, height) = self.size((w, h));
        let frames = self.frames.iter().map(|f| fitted(f, width, height));
        let Some(slider) = &self.slider else {
            return Ok(frames.collect());
        };
        if slider.values.len() != self.frames.len() || slider.values.iter().any(|v| !v.is_finite())
        {
            return Err(Error::Shape {
                what: "values of an animation's slider",
                found: format!("{}", slider.values.len()),
                expected: format!("{} finite values, one per frame", self.frames.len()),
            });
        }
        Ok(frames
            .zip(&slider.values)
            .map(|(frame, &value)| slider.under(&frame, value))
            .collect())
    }

    /// The animation as the bytes of a file.
    ///
    /// # Errors
    ///
    /// As [`Animation::frames`], and [`Error::Encode`].
    pub fn encode(&self, format: Format) -> Result<Vec<u8>> {
        let frames = self.frames()?;
        let mut order: Vec<usize> = (0..frames.len()).collect();
        if self.ping_pong {
            order.extend((1..frames.len().saturating_sub(1)).rev());
        }
        match format {
            Format::Gif => self.encode_gif(&frames, &order),
            Format::WebP => webp::encode(&frames, &order, self.delay_ms),
            Format::Mp4 => mp4::encode(&frames, &order, self.delay_ms),
        }
    }

    fn encode_gif(&self, frames: &[RgbImage], order: &[usize]) -> Result<Vec<u8>> {
        let palette = Palette::of(frames, 256);
        let failed = |e: image::ImageError| Error::Encode {
            what: "a GIF animation",
            reason: e.to_string(),
        };
        let mut bytes = Cursor::new(Vec::new());
        {
            let mut encoder = GifEncoder::new_with_speed(&mut bytes, 1);
            encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
            for &i in order {
                let picture =
                    image::DynamicImage::ImageRgb8(palette.apply(&frames[i])).into_rgba8();
                let delay = Delay::from_numer_denom_ms(self.delay_ms, 1);
                encoder
                    .encode_frame(Frame::from_parts(picture, 0, 0, delay))
                    .map_err(failed)?;
            }
        }
        Ok(bytes.into_inner())
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    ///
    /// As [`Animation::encode`], and [`Error::Write`] with the file's path.
    pub fn write(&self, path: &Path, format: Format) -> Result<()> {
        write_atomic(path, &self.encode(format)?)
    }
}

impl Slider {
    /// The frame with a slider at `value` under it.
    fn under(&self, frame: &RgbImage, value: f64) -> RgbImage {
        const INK: [u8; 3] = [34, 38, 46];
        const TRACK: [u8; 3] = [205, 209, 217];
        const KNOB: [u8; 3] = [44, 105, 200];
        let (w, h) = frame.dimensions();
        let size = (w as f32 * 0.055).clamp(12.0, 28.0);
        let font = Font::regular(size);
        let pad = size.round() as u32;
        let height = font.line_height() + pad * 2;
        let mut out = RgbImage::from_pixel(w, h + height, Rgb([255; 3]));
        imageops::replace(&mut out, frame, 0, 0);

        let low = self.values.iter().copied().fold(f64::MAX, f64::min);
        let high = self.values.iter().copied().fold(f64::MIN, f64::max);
        let (x0, x1) = (f64::from(pad), f64::from(w.saturating_sub(pad)));
        let place = |v: f64| {
            if high > low {
                x0 + (x1 - x0) * (v - low) / (high - low)
            } else {
                (x0 + x1) / 2.0
            }
        };
        let track = f64::from(h) + f64::from(pad) * 0.75;
        disc_line(&mut out, x0, x1, track, f64::from(size) * 0.11, TRACK);
        if low < 0.0 && high > 0.0 {
            let zero = place(0.0);
            disc_line(&mut out, zero, zero, track, f64::from(size) * 0.2, TRACK);
        }
        disc_line(
            &mut out,
            place(value),
            place(value),
            track,
            f64::from(size) * 0.34,
            KNOB,
        );

        let number = format!("{value:+.2}").replace('-', "−");
        let number_w = font.width(&number);
        let y = i64::from(h + pad + pad / 3);
        let label = font.fit(&self.label, w.saturating_sub(number_w + 3 * pad));
        font.draw(&mut out, i64::from(pad), y, INK, &label);
        font.draw(
            &mut out,
            i64::from(w) - i64::from(pad + number_w),
            y,
            INK,
            &number,
        );
        out
    }
}

/// A horizontal stroke with round ends, anti-aliased; a disc when both ends are the same.
fn disc_line(picture: &mut RgbImage, x0: f64, x1: f64, y: f64, radius: f64, colour: [u8; 3]) {
    let rows =
        (y - radius - 1.0).max(0.0) as u32..((y + radius + 2.0) as u32).min(picture.height());
    for py in rows {
        for px in
            (x0 - radius - 1.0).max(0.0) as u32..((x1 + radius + 2.0) as u32).min(picture.width())
        {
            let (cx, cy) = (f64::from(px) + 0.5, f64::from(py) + 0.5);
            let distance = (cx - cx.clamp(x0, x1)).hypot(cy - y);
            let a = (radius + 0.5 - distance).clamp(0.0, 1.0);
            for (p, c) in picture.get_pixel_mut(px, py).0.iter_mut().zip(colour) {
                *p = (f64::from(*p) * (1.0 - a) + f64::from(c) * a).round() as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::AnimationDecoder as _;

    fn frames() -> Vec<RgbImage> {
        (0..4u32)
            .map(|i| {
                RgbImage::from_fn(32, 24, |x, y| {
                    Rgb([(x * 8) as u8, (y * 10) as u8, (i * 60) as u8])
                })
            })
            .collect()
    }

    fn decode(gif: Vec<u8>) -> Vec<Frame> {
        let decoder = image::codecs::gif::GifDecoder::new(Cursor::new(gif)).unwrap();
        decoder.into_frames().collect_frames().unwrap()
    }

    #[test]
    fn frames_come_back_in_order_and_close() {
        let gif = Animation::new(frames())
            .fps(20.0)
            .height(24)
            .encode(Format::Gif)
            .unwrap();
        let back = decode(gif);
        assert_eq!(back.len(), 4);
        for (frame, original) in back.iter().zip(frames()) {
            assert_eq!(frame.delay().numer_denom_ms(), (50, 1));
            let buffer = frame.buffer();
            assert_eq!(buffer.dimensions(), (32, 24));
            let error: u32 = original
                .pixels()
                .zip(buffer.pixels())
                .map(|(a, b)| {
                    (0..3)
                        .map(|k| u32::from(a.0[k].abs_diff(b.0[k])))
                        .sum::<u32>()
                })
                .sum();
            assert!(
                error / (32 * 24 * 3) < 10,
                "mean error {}",
                error / (32 * 24 * 3)
            );
        }
    }

    #[test]
    fn ping_pong_returns_without_repeating_the_ends() {
        let gif = Animation::new(frames())
            .ping_pong(true)
            .encode(Format::Gif)
            .unwrap();
        assert_eq!(decode(gif).len(), 6);
        let one = Animation::new(frames()[..1].to_vec())
            .ping_pong(true)
            .encode(Format::Gif)
            .unwrap();
        assert_eq!(decode(one).len(), 1);
    }

    #[test]
    fn the_slider_moves() {
        let animation = Animation::new(frames()).slider("direction 507", &[-2.0, -1.0, 0.5, 2.0]);
        let shown = animation.frames().unwrap();
        let knob = |f: &RgbImage| {
            let spots: Vec<_> = f
                .enumerate_pixels()
                .filter(|(_, _, p)| p.0 == [44, 105, 200])
                .map(|(x, ..)| x)
                .collect();
            spots.iter().sum::<u32>() / spots.len() as u32
        };
        assert!(knob(&shown[0]) < knob(&shown[1]) && knob(&shown[2]) < knob(&shown[3]));
        assert!(
            Animation::new(frames())
                .slider("x", &[1.0])
                .frames()
                .is_err()
        );
        assert!(
            Animation::new(frames())
                .slider("x", &[1.0, f64::NAN, 0.0, 0.0])
                .frames()
                .is_err()
        );
        assert!(Animation::new(Vec::new()).encode(Format::Gif).is_err());
    }

    #[test]
    fn webp_frames_come_back_exactly() {
        let animation = Animation::new(frames()).height(24).fps(25.0);
        let bytes = Cursor::new(animation.encode(Format::WebP).unwrap());
        let decoder = image::codecs::webp::WebPDecoder::new(bytes).unwrap();
        assert!(decoder.has_animation());
        let back = decoder.into_frames().collect_frames().unwrap();
        assert_eq!(back.len(), 4);
        for (frame, original) in back.iter().zip(frames()) {
            assert_eq!(frame.delay().numer_denom_ms(), (40, 1));
            let found = image::DynamicImage::ImageRgba8(frame.buffer().clone()).into_rgb8();
            assert!(found == original);
        }
    }

    #[test]
    fn frames_that_are_added_are_kept_as_they_are_shown() {
        for height in [12, 24, 100] {
            let whole = Animation::new(frames()).height(height);
            let mut added = Animation::new(Vec::new()).height(height);
            frames().into_iter().for_each(|frame| added.push(frame));
            assert!(
                added
                    .frames
                    .iter()
                    .all(|frame| frame.height() == height.min(24))
            );
            assert!(added.frames().unwrap() == whole.frames().unwrap());
        }
    }

    #[test]
    fn more_frames_than_memory_holds_are_refused_before_they_are_made() {
        let values = vec![0.0; 600];
        let long = Animation::new(Vec::new()).slider("elf", &values);
        let error = long.check((4096, 1024)).unwrap_err().to_string();
        assert!(error.contains("600 of 4096 × 1024"), "{error}");
        long.clone().height(256).check((4096, 1024)).unwrap();
        long.check((1024, 1024)).unwrap();
        assert!(long.check((9000, 8)).is_err());
    }

    #[test]
    fn frames_have_the_height_that_was_asked_for() {
        let frames = Animation::new(frames()).height(100).frames().unwrap();
        assert_eq!(frames[0].dimensions(), (133, 100));
    }
}
