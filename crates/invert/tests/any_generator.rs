//! A generator of which only the trait is known is searched by its latents alone.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use domex_invert::{Config, Inversion, Projector, Space, Subject};
use domex_latent::Generator as _;
use domex_lpips::Lpips;
use domex_random::Streams;
use domex_stylegan2::{GeneratorConfig, Model};

const PERCEPTUAL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../assets/portraits/perceptual.safetensors"
);

/// To the bit as a StyleGAN2 is with the noise that it has; settings that ask for pixel noise find none.
#[test]
fn it_finds_what_is_found_with_the_generators_own_noise() {
    let config = GeneratorConfig::with_defaults(8, 12, 16, 128, 8).unwrap();
    let generator = Model::random(&config, 3, &Device::Cpu).unwrap().g_ema;
    let perceptual = Lpips::load(PERCEPTUAL, DType::F32, &Device::Cpu).unwrap();
    let mut z = vec![0.0; 16];
    Streams::new(3).stream("z").fill_normal(&mut z);
    let z = Tensor::from_vec(z, (2, 8), &Device::Cpu).unwrap();
    let w = generator.map(&z, None).unwrap();
    let pictures = generator.synthesize(&w).unwrap();
    let search = |subject: Subject<'_>, space: Space, pixel_noise: Option<f64>| -> Inversion {
        let projector = Projector {
            generator: subject,
            perceptual: &perceptual,
            place: None,
            config: Config {
                space,
                steps: 12,
                latent_samples: 200,
                pixel_noise,
                ..Config::default()
            },
        };
        let found = projector.invert(&pictures, &Streams::new(0), &mut |_, _| {});
        found.unwrap()
    };
    let asked = Config::default().pixel_noise;
    assert!(asked.is_some());
    for space in [Space::W, Space::WPlus] {
        let known = search((&generator).into(), space, None);
        let found = search(Subject::Latent(&generator), space, asked);
        assert_eq!(found.losses, known.losses);
        assert!(found.noise.is_empty());
        let off = (&found.latents - &known.latents).unwrap().abs().unwrap();
        assert_eq!(off.max_all().unwrap().to_scalar::<f32>().unwrap(), 0.0);
        // At step 0 the learning rate is 0: the second loss is that of the mean latent, shaken.
        assert!(found.losses[11] < found.losses[1], "{:?}", found.losses);
    }
}
