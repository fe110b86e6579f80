#![no_main]
//! Lists of the files of a data set, as the Hugging Face Hub sends them.

use astill::fetch::Repository;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let (Some(Ok(repository)), Ok(list)) =
        (Repository::named("hf:someone/pets"), std::str::from_utf8(bytes))
    {
        let _ = repository.listed("https://hub", "0123", list);
    }
});
