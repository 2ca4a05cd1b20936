//! From `--aug`, `--p`, `--target` and `--augpipe` to an augmentation.

use domex_error::user_error;
use domex_gan::augment::{AdaConfig, AugmentConfig};
use domex_pretrain::stylegan2::Augmentation;

use super::{Aug, AugmentationArgs, Pipe};

/// The augmentation of a new run.
pub fn ada() -> Augmentation {
    Augmentation::Ada {
        p: 0.0,
        ada: AdaConfig::default(),
        pipe: Box::default(),
    }
}

/// The augmentation that the flags make of the present one.
pub fn augmentation(
    now: &Augmentation,
    args: &AugmentationArgs,
) -> domex_error::Result<Augmentation> {
    let (kind, p, config, pipe) = match now {
        Augmentation::NoAug => (Aug::Noaug, None, AdaConfig::default(), Box::default()),
        Augmentation::Fixed { p, pipe } => {
            (Aug::Fixed, Some(*p), AdaConfig::default(), pipe.clone())
        }
        Augmentation::Ada { p, ada, pipe } => (Aug::Ada, Some(*p), *ada, pipe.clone()),
    };
    let kept = args.aug.is_none_or(|wanted| wanted == kind);
    let kind = args.aug.unwrap_or(kind);
    let refuse = |flag: &str, needs: &str| {
        let problem = format!("{flag}: is for --aug {needs}");
        Err(user_error(problem))
    };
    if args.target.is_some() && kind != Aug::Ada {
        return refuse("--target", "ada");
    }
    if (args.p.is_some() || args.augpipe.is_some()) && kind == Aug::Noaug {
        return refuse(
            if args.p.is_some() { "--p" } else { "--augpipe" },
            "ada and fixed",
        );
    }
    let pipe = args.augpipe.map_or(pipe, |pipe| Box::new(pipe.config()));
    let p = args.p.or(p.filter(|_| kept));
    Ok(match kind {
        Aug::Noaug => Augmentation::NoAug,
        Aug::Fixed => {
            let p = p.ok_or_else(|| user_error("--aug fixed: give its probability with --p"))?;
            Augmentation::Fixed { p, pipe }
        }
        Aug::Ada => Augmentation::Ada {
            p: p.unwrap_or(0.0),
            ada: AdaConfig {
                target: args.target.or(config.target),
                ..config
            },
            pipe,
        },
    })
}

impl Pipe {
    fn config(self) -> AugmentConfig {
        let groups = match self {
            Self::Blit => "b",
            Self::Geom => "g",
            Self::Color => "c",
            Self::Filter => "f",
            Self::Noise => "n",
            Self::Cutout => "o",
            Self::Bg => "bg",
            Self::Bgc => "bgc",
            Self::Bgcf => "bgcf",
            Self::Bgcfn => "bgcfn",
            Self::Bgcfnc => "bgcfno",
        };
        let of = |group: char| f64::from(u8::from(groups.contains(group)));
        let (blit, geom, color) = (of('b'), of('g'), of('c'));
        AugmentConfig {
            xflip: blit,
            rotate90: blit,
            xint: blit,
            scale: geom,
            rotate: geom,
            aniso: geom,
            xfrac: geom,
            brightness: color,
            contrast: color,
            lumaflip: color,
            hue: color,
            saturation: color,
            imgfilter: of('f'),
            noise: of('n'),
            cutout: of('o'),
            ..AugmentConfig::none()
        }
    }
}
