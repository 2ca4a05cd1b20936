//! See `domex_fuzz::readers::stylegan3`.
#![cfg_attr(fuzzing, no_main)]

domex_fuzz::target!(domex_fuzz::readers::stylegan3);
