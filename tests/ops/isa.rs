//! `METAMERS_ISA`, which is read once in a process: the tests run themselves in child processes.

use std::process::{Command, Output};

use metamers::candle::{Device, Tensor};
use metamers::engine::{Compiled, Isa};
use metamers::network::{Builder, Input, Network};
use metamers::ops::{Conv2d, Conv2dConfig};
use metamers::session_info::session_info;

const NAMES: [&str; 5] = ["portable", "neon", "avx2", "avx512", "wasm"];

fn network() -> Network {
    let weight = Tensor::arange(-40f32, 41.0, &Device::Cpu).unwrap().affine(0.013, 0.0).unwrap();
    let weight = weight.reshape((3, 3, 3, 3)).unwrap();
    let mut b = Builder::new("one convolution", Input::Image { shape: [3, 9, 9], resize: 9 });
    let y = b.conv2d(b.input(), Conv2d::new(&weight, None, Conv2dConfig::default()).unwrap()).unwrap();
    b.stage("conv", y).unwrap();
    b.finish().unwrap()
}

/// The bits of a gradient, as text.
fn gradient(compiled: &Compiled) -> String {
    let x: Vec<f32> = (0..3 * 9 * 9).map(|i| (i as f32 * 0.37).sin()).collect();
    let evaluated = compiled.evaluate(&x, |z, g| g.iter_mut().zip(z).for_each(|(g, z)| *g = z * 0.7)).unwrap();
    format!("{:x?}", evaluated.gradient.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
}

/// Prints the result of compiling for the selected instruction set, if this process is the child of another test.
#[test]
fn child() {
    if std::env::var_os("METAMERS_TEST_ISA").is_none() {
        return;
    }
    match Compiled::new(&network(), "conv") {
        Ok(compiled) => {
            // Syntheses compile their networks in this way.
            let at_stages = Compiled::at_stages(&network(), ["conv"]).unwrap();
            assert_eq!(format!("{at_stages:?}"), format!("{compiled:?}"));
            assert_eq!(gradient(&at_stages), gradient(&compiled));
            println!("<{compiled:?}; {}; {}>", session_info().instructions, gradient(&compiled));
        }
        Err(error) => {
            assert_eq!(Compiled::at_stages(&network(), ["conv"]).unwrap_err().to_string(), error.to_string());
            println!("<error: {error}>");
        }
    }
}

/// The part between angle brackets of what `child` prints with this `METAMERS_ISA`.
fn child_with(isa: &str) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "isa::child", "--nocapture"]).env("METAMERS_TEST_ISA", "1").env("METAMERS_ISA", isa);
    let Output { status, stdout, .. } = child.output().unwrap();
    assert!(status.success(), "METAMERS_ISA={isa}: {status}");
    let text = String::from_utf8(stdout).unwrap();
    let (_, rest) = text.split_once('<').unwrap();
    rest.rsplit_once('>').unwrap().0.to_owned()
}

#[test]
fn each_instruction_set_of_the_processor_can_be_forced() {
    for isa in Isa::available() {
        let (name, net) = (isa.name(), network());
        let expected = gradient(&Compiled::with_isa(&net, "conv", isa).unwrap());
        let expected =
            format!("Compiled(one convolution up to conv, {isa:?}); {isa} (METAMERS_ISA={name}); {expected}");
        assert_eq!(child_with(name), expected);
    }
}

#[test]
fn an_empty_name_selects_the_fastest() {
    let found = child_with("");
    let best = Isa::best();
    assert!(found.starts_with(&format!("Compiled(one convolution up to conv, {best:?}); {best}; ")), "{found}");
}

#[test]
fn an_unknown_or_missing_instruction_set_is_an_error() {
    let error = child_with("avx3");
    assert!(error.contains("avx3") && error.contains("avx2") && error.contains("METAMERS_ISA"), "{error}");
    let available = Isa::available();
    for name in NAMES.into_iter().filter(|name| available.iter().all(|isa| isa.name() != *name)) {
        let error = child_with(name);
        let expected = format!("error: instruction set \"{name}\"");
        assert!(error.starts_with(&expected) && error.contains("this processor lacks it"), "{error}");
        assert!(error.contains("portable"), "{error}");
    }
}
