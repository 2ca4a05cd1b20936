//! What of a photograph a network is shown: `--crop` and `--face`.

pub mod given;

use std::path::{Path, PathBuf};

use candle_core::Device;
use clap::{Args, ValueEnum};
use domex_data::pil_resize::{centre_crop, resize_shorter_side};
use domex_data::{counted, picture};
use domex_error::{Context as _, user_error};
use domex_face::{Detector, Face, Outside, SIDES, Square};
use image::RgbImage;

use self::given::Given;
use crate::models;

/// What is said of a picture in which a face's square does not lie whole.
pub const LEAVES: &str = "ends within the square around the face; its mirror image shows there";

/// What of a picture is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Crop {
    /// The square in its middle.
    #[default]
    Center,
    /// The square around a face, turned upright, as the pictures of FFHQ are; needs `domex fetch yunet`.
    Face,
    /// All of it: only squares are taken.
    None,
}

/// Flags of the verbs that take photographs.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct CropArgs {
    /// What of a picture is taken
    #[arg(long, value_enum, default_value_t = Crop::Center)]
    pub crop: Crop,
    /// Which of several faces --crop face takes: 1 is the largest, 2 the next [default: 1, and a line says where the others are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub face: Option<u16>,
}

impl CropArgs {
    /// Refuses a number without faces.
    pub fn check(self) -> domex_error::Result<()> {
        check_number(self.face, self.crop == Crop::Face)
    }
}

/// What the results of a picture are called.
pub fn name(file: &Path) -> String {
    let name = file.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Refuses pictures that their own results, `NAME.png` in this folder, would be written over.
pub fn refuse_overwriting(files: &[PathBuf], folder: &Path) -> domex_error::Result<()> {
    let is_over = |file: &&PathBuf| {
        let result = folder.join(format!("{}.png", name(file)));
        let places = result.canonicalize().ok().zip(file.canonicalize().ok());
        places.is_some_and(|(result, file)| result == file)
    };
    match files.iter().find(is_over) {
        None => Ok(()),
        Some(file) => Err(user_error(format!(
            "--image {}: its result would be written over it; give another --out",
            file.display()
        ))),
    }
}

/// Reads pictures, and crops them.
pub struct Cropper {
    crop: Crop,
    /// Of [`Crop::Face`].
    faces: Option<Faces>,
}

impl Cropper {
    /// With the face detector, if it is needed.
    pub fn new(args: CropArgs) -> domex_error::Result<Self> {
        args.check()?;
        let is_face = args.crop == Crop::Face;
        let faces = is_face.then(|| Faces::open(args.face).context("--crop face"));
        Ok(Self {
            crop: args.crop,
            faces: faces.transpose()?,
        })
    }

    /// A picture, cropped and resized to `side`. What people could not foresee is logged as a warning.
    pub fn read(&self, file: &Path, side: u32) -> domex_error::Result<RgbImage> {
        let picture = picture::read(file)?;
        self.cut(file, &picture)?
            .of(picture, side, Outside::Mirrored)
    }

    /// As [`read`](Self::read), for all pictures, so that a bad one is found before any work. A mask is to have the size of each.
    pub fn look(
        &self,
        files: &[PathBuf],
        mask: Option<&Path>,
        side: u32,
    ) -> domex_error::Result<Given> {
        let pixels = mask.map(picture::read).transpose()?;
        let mask = mask.zip(pixels.map(|mask| mask.dimensions()));
        let mut given = Given::default();
        for file in files {
            let picture = picture::read(file)?;
            let expected = picture.dimensions();
            if let Some((mask, found)) = mask
                && found != expected
            {
                return Err(user_error(format!(
                    "--mask {}: is {} × {}, and {} is {} × {}; give a mask of the picture's size",
                    mask.display(),
                    found.0,
                    found.1,
                    file.display(),
                    expected.0,
                    expected.1
                )));
            }
            let cut = self.cut(file, &picture)?;
            given.add(file, cut, picture, side)?;
        }
        Ok(given)
    }

    /// Where a picture is to be cut.
    fn cut(&self, file: &Path, picture: &RgbImage) -> domex_error::Result<Cut> {
        let (width, height) = picture.dimensions();
        let file = file.display();
        if let Some(faces) = &self.faces {
            let found = faces.choose(picture)?.map_err(|reason| {
                user_error(format!(
                    "{file}: {reason}; --crop center takes the square in its middle, --crop none a square as it is"
                ))
            })?;
            if let Some(several) = found.several("--face N") {
                tracing::warn!("{file}: {several}");
            }
            if found.leaves {
                tracing::warn!("{file}: {LEAVES}");
            }
            return Ok(Cut::Square(found.square));
        }
        if self.crop == Crop::None && width != height {
            return Err(user_error(format!(
                "{file}: is {width} × {height}; --crop none takes squares, --crop center the middle of any picture, --crop face the face"
            )));
        }
        if width != height {
            tracing::warn!("{file}: is {width} × {height}; the square in its middle is taken");
        }
        Ok(Cut::Middle)
    }
}

/// Where a picture is cut.
enum Cut {
    /// The square in its middle; all of a square.
    Middle,
    /// Around a face.
    Square(Square),
}

impl Cut {
    fn of(&self, picture: RgbImage, side: u32, outside: Outside) -> domex_error::Result<RgbImage> {
        match self {
            Self::Square(square) => Ok(square.cut(&picture, side, outside)?),
            Self::Middle if picture.dimensions() == (side, side) => Ok(picture),
            Self::Middle => Ok(centre_crop(&resize_shorter_side(&picture, side)?, side)?),
        }
    }
}

/// Faces are told apart where faces are cut out alone.
pub fn check_number(number: Option<u16>, is_face: bool) -> domex_error::Result<()> {
    match number {
        Some(number) if !is_face => Err(user_error(format!(
            "--face {number}: says which face --crop face takes; give that too, or leave it out"
        ))),
        _ => Ok(()),
    }
}

/// Finds the face of a picture.
pub struct Faces {
    detector: Detector,
    /// Which one, from 1.
    number: Option<u16>,
}

/// A face that is taken.
pub struct Found {
    /// What is shown of it.
    pub square: Square,
    /// Where all faces of the picture are, the largest first.
    places: Vec<[f64; 2]>,
    /// Nobody said which of several.
    pub unasked: bool,
    /// Whether the picture ends within the square.
    pub leaves: bool,
}

impl Found {
    /// Where nobody chose among several faces: how many there are, which one is taken, and what takes another.
    pub fn several(&self, choice: &str) -> Option<String> {
        let (total, [x, y]) = (self.places.len(), self.places[0]);
        self.unasked.then(|| {
            let others = listed(&self.places, 1);
            format!("shows {total} faces; the largest is taken, at {x:.0}, {y:.0}; {choice} takes another: {others}")
        })
    }
}

/// Numbers of faces and where their middles are, in pixels from the upper left corner, but for the first `skip`.
fn listed(places: &[[f64; 2]], skip: usize) -> String {
    /// More are only counted.
    const MOST: usize = 8;
    let numbered = places.iter().enumerate().skip(skip);
    let shown = numbered.map(|(index, [x, y])| format!("{} at {x:.0}, {y:.0}", index + 1));
    let mut shown: Vec<String> = shown.take(MOST).collect();
    let more = places.len() - skip - shown.len();
    if more > 0 {
        shown.push(format!("and {more} smaller ones"));
    }
    shown.join("; ")
}

impl Faces {
    /// With the network that `domex fetch` brings, and the number of the face that is wanted. It is small, and works on the CPU.
    pub fn open(number: Option<u16>) -> domex_error::Result<Self> {
        let detector = Detector::load(models::face_detector()?, &Device::Cpu)?;
        Ok(Self { detector, number })
    }

    /// The face that is wanted; the inner error says why the picture has none such.
    pub fn choose(&self, picture: &RgbImage) -> domex_error::Result<Result<Found, String>> {
        let faces = self.detector.faces(picture)?;
        let number = usize::from(self.number.unwrap_or(1));
        let places: Vec<[f64; 2]> = faces.iter().map(Face::centre).collect();
        let Some(face) = faces.get(number - 1) else {
            return Ok(Err(match places.len() {
                0 => {
                    let [first, second, third] = SIDES;
                    format!(
                        "no face was found at {first}, {second} or {third} pixels on the longer side"
                    )
                }
                total => format!(
                    "there is no face {number}; it shows {}: {}",
                    counted(total, "face"),
                    listed(&places, 0)
                ),
            }));
        };
        let square = Square::around(&self.detector.refined(picture, face)?)?;
        Ok(Ok(Found {
            square,
            unasked: self.number.is_none() && places.len() > 1,
            places,
            leaves: square.leaves(picture),
        }))
    }
}
