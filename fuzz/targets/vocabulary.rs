//! See `domex_fuzz::readers::vocabulary`.
#![cfg_attr(fuzzing, no_main)]

domex_fuzz::target!(domex_fuzz::readers::vocabulary);
