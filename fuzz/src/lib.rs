//! What the fuzz targets of the engine's parsers share.

#[path = "../../tests/engine/parsers/mod.rs"]
pub mod parsers;

use parsers::Parser;
use std::path::PathBuf;
use std::{env, fs};

/// Puts the inputs that `parser` begins with into the corpus, which is the first folder of the
/// command line: written by the program itself, they are never of an old format.
pub fn begin(parser: &Parser) {
    let corpus = env::args_os()
        .skip(1)
        .map(PathBuf::from)
        .find(|argument| argument.is_dir());
    for (number, seed) in parser.valid.iter().chain(&parser.odd).enumerate() {
        corpus.iter().for_each(|corpus| {
            fs::write(corpus.join(format!("begin-{number}")), seed)
                .expect("the corpus can be written")
        });
    }
}

/// Gives an input to a parser, and a few of them to the whole load too: the same ones every time, so
/// that what fails there can be repeated.
pub fn give(parser: &mut Parser, input: &[u8]) {
    const ONE_LOADED_IN: u64 = 200;
    (parser.parse)(input);
    let sum: u64 = input.iter().map(|byte| u64::from(*byte)).sum();
    if sum % ONE_LOADED_IN == 0
        && let Some(load) = &mut parser.load
    {
        load(input);
    }
}

/// The fuzz target of a parser of the engine.
#[macro_export]
macro_rules! fuzz_engine {
    ($parser:ident) => {
        thread_local! {
            static PARSER: std::cell::RefCell<$crate::parsers::Parser> = std::cell::RefCell::new($crate::parsers::$parser());
        }
        libfuzzer_sys::fuzz_target!(
            init: PARSER.with_borrow(|parser| $crate::begin(parser)),
            |bytes: &[u8]| {
                PARSER.with_borrow_mut(|parser| $crate::give(parser, bytes));
            }
        );
    };
}
