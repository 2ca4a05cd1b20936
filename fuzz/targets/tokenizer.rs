//! See `domex_fuzz::readers::tokenizer`.
#![cfg_attr(fuzzing, no_main)]

domex_fuzz::target!(domex_fuzz::readers::tokenizer);
