#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| plinth_fuzz_targets::secrets::key_text(data));
