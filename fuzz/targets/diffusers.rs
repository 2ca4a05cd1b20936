//! See `domex_fuzz::readers::diffusers`.
#![cfg_attr(fuzzing, no_main)]

domex_fuzz::target!(domex_fuzz::readers::diffusers);
