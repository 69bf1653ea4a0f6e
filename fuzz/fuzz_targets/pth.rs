#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _accepted = metamers_fuzz::Reader::from_name("pth").read(data);
});
