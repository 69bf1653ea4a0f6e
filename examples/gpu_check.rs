//! Checks a device of candle against the CPU: each operation, three networks, the time to a metamer, and the speed.
//!
//! `cargo run --release --features cuda --example gpu_check -- cuda`, or `metal`; `cpu` runs the same operations on the CPU. Ends with
//! status 1 if a gradient is wrong. `scripts/gpu_check` builds it for a machine without Rust.

use std::process::ExitCode;

use metamers::candle::{Device, Tensor, Var};
use metamers::engine::Compiled;
use metamers::ops::{
    AvgPool2d, ChannelAffine, Conv2d, Conv2dConfig, Frozen, GlobalAvgPool, Linear, MaxPool2d, Padding, Relu,
    Standardize, StraightThroughRelu, Window, vjp,
};
use metamers::prelude::*;

/// The largest relative error of a gradient. Convolutions of a GPU may round to TF32.
const MAX_ERROR: f64 = 2e-3;
/// Evaluations that are timed, after as many others.
const TIMED: usize = 20;

/// The device, and the number of errors that were too large.
struct Check {
    device: Device,
    failures: usize,
}

fn main() -> metamers::Result<ExitCode> {
    let device = match std::env::args().nth(1).as_deref() {
        Some("cuda") => Device::new_cuda(0)?,
        Some("metal") => Device::new_metal(0)?,
        Some("cpu") => Device::Cpu,
        _ => return Err(Error::invalid("device", "is the argument: cuda, metal or cpu")),
    };
    let mut check = Check { device, failures: 0 };
    println!("device: {:?}", check.device.location());
    println!("\n{:44} {:>12} {:>12}", "relative error on the device", "values", "gradient");
    check.operations()?;
    check.networks()?;
    println!("\n{:44} {:>12} {:>12}", "on the device and compiled on the CPU", "device", "CPU");
    check.time_to_match()?;
    check.speed()?;
    println!("\n{} errors above {MAX_ERROR}", check.failures);
    Ok(ExitCode::from(u8::from(check.failures > 0)))
}

/// Values between -1 and 1 that do not repeat.
fn numbers(shape: &[usize]) -> metamers::Result<Tensor> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| (i * 7919 % 10_007) as f32 / 5003.5 - 1.0).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// `norm2(a - b) / norm2(b)`.
fn relative_error(a: &Tensor, b: &Tensor) -> metamers::Result<f64> {
    let flat = |x: &Tensor| -> metamers::Result<Vec<f32>> { Ok(x.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?) };
    let (a, b) = (flat(a)?, flat(b)?);
    let difference: f64 = a.iter().zip(&b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    let size: f64 = b.iter().map(|&b| f64::from(b).powi(2)).sum();
    Ok((difference / size.max(f64::MIN_POSITIVE)).sqrt())
}

impl Check {
    fn report(&mut self, name: &str, [values, gradient]: [f64; 2]) {
        // A comparison with NaN is false.
        let is_right = values < MAX_ERROR && gradient < MAX_ERROR;
        self.failures += usize::from(!is_right);
        println!("{name:44} {values:12.1e} {gradient:12.1e}{}", if is_right { "" } else { "  WRONG" });
    }

    fn operation(&mut self, name: &str, op: &impl Frozen, shape: &[usize]) -> metamers::Result<()> {
        let x = (numbers(shape)? * 4.0)?;
        let on_cpu = Var::from_tensor(&x)?;
        let on_device = Var::from_tensor(&x.to_device(&self.device)?)?;
        let (expected, found) = (op.apply(&on_cpu)?, op.fallback(&on_device)?);
        let cotangent = numbers(expected.dims())?;
        let gradient = vjp(&expected, &cotangent, &on_cpu)?;
        let found_gradient = vjp(&found, &cotangent.to_device(&self.device)?, &on_device)?;
        self.report(name, [relative_error(&found, &expected)?, relative_error(&found_gradient, &gradient)?]);
        Ok(())
    }

    fn operations(&mut self) -> metamers::Result<()> {
        let image = &[2, 8, 29, 23];
        let config = |stride, padding, groups| Conv2dConfig {
            stride: [stride; 2],
            padding: Padding::all(padding),
            groups,
            ..Default::default()
        };
        let conv =
            |shape: &[usize], config| Conv2d::new(&(numbers(shape)? * 0.3)?, Some(&numbers(&shape[..1])?), config);
        self.operation("convolution 3x3", &conv(&[16, 8, 3, 3], config(1, 1, 1))?, image)?;
        self.operation("convolution 7x7, stride 2", &conv(&[16, 8, 7, 7], config(2, 3, 1))?, image)?;
        self.operation("convolution 1x1", &conv(&[16, 8, 1, 1], config(1, 0, 1))?, image)?;
        self.operation("convolution 3x3, depthwise", &conv(&[8, 1, 3, 3], config(1, 1, 8))?, image)?;
        self.operation("linear", &Linear::new(&numbers(&[11, 50])?, Some(&numbers(&[11])?))?, &[3, 50])?;
        self.operation("max pool 3x3, stride 2", &MaxPool2d::new(Window::square(3).stride(2)), image)?;
        self.operation("average pool 3x3, stride 2", &AvgPool2d::new(Window::square(3).stride(2)), image)?;
        self.operation("global average pool", &GlobalAvgPool, image)?;
        self.operation("ReLU", &Relu::UNBOUNDED, image)?;
        self.operation("ReLU6", &Relu::RELU6, image)?;
        self.operation("straight-through ReLU", &StraightThroughRelu(Relu::UNBOUNDED), image)?;
        self.operation("affine", &ChannelAffine::new(&[1.5; 8], &[-0.5; 8])?, image)?;
        self.operation("standardize", &Standardize { samples: 50 }, &[3, 50])
    }

    fn networks(&mut self) -> metamers::Result<()> {
        let (photo, word) = (Image::open("photos/dog.jpg")?, Sound::open("speech/seven.wav")?);
        let cases = [
            Synthesis::new(&zoo::efficientnet_lite0()?, "block5", &photo)?,
            Synthesis::new(&zoo::resnet50_random(0)?, "layer3", &photo)?,
            Synthesis::new(&zoo::cochcnn_words()?, "relu2", &word)?,
        ];
        for plan in cases {
            let [mut cpu, mut on_device] =
                [plan.clone().quiet().start()?, plan.clone().quiet().on(&self.device).start()?];
            cpu.step(1)?;
            on_device.step(1)?;
            let tensor =
                |run: &Run| Tensor::from_slice(run.gradient_values(), run.gradient_values().len(), &Device::Cpu);
            let losses = [&on_device, &cpu].map(|run| run.history()[0].loss);
            let loss = ((losses[0] - losses[1]) / losses[1]).abs();
            self.report(&format!("{plan:?}"), [loss, relative_error(&tensor(&on_device)?, &tensor(&cpu)?)?]);
        }
        Ok(())
    }

    /// The seconds until the stage matches to 20 dB, and the number of evaluations.
    fn time_to_match(&self) -> metamers::Result<()> {
        let plan = Synthesis::new(&zoo::efficientnet_lite0()?, "block5", &Image::open("photos/dog.jpg")?)?.quiet();
        let seconds = |plan: Synthesis| -> metamers::Result<String> {
            let mut run = plan.start()?;
            run.advance(Stop::snr(20.0).or_after(Duration::from_secs(120)))?;
            let (last, snr) = (run.history().last(), run.snr_db().unwrap_or(f64::NAN));
            let seconds = last.map_or(f64::NAN, |point| point.seconds);
            Ok(if snr >= 20.0 { format!("{seconds:.1} s") } else { format!("{snr:.1} dB") })
        };
        let (on_device, cpu) = (seconds(plan.clone().on(&self.device))?, seconds(plan)?);
        println!("{:44} {on_device:>12} {cpu:>12}", "EfficientNet-Lite0, block5, to 20 dB");
        Ok(())
    }

    /// Gradient evaluations a second.
    fn speed(&self) -> metamers::Result<()> {
        let net = zoo::resnet50_random(0)?;
        let plan = Synthesis::new(&net, "layer3", &Image::open("photos/dog.jpg")?)?.quiet();
        let rate = |plan: Synthesis| -> metamers::Result<f64> {
            let mut run = plan.start()?;
            run.advance(Stop::evaluations(TIMED))?;
            let (start, before) = (std::time::Instant::now(), run.evaluations());
            run.advance(Stop::evaluations(before + TIMED))?;
            Ok((run.evaluations() - before) as f64 / start.elapsed().as_secs_f64())
        };
        let (on_device, cpu) = (rate(plan.clone().on(&self.device))?, rate(plan)?);
        println!("{:44} {on_device:10.1}/s {cpu:10.1}/s", "ResNet-50, layer3, evaluations");
        println!("{:44} {:?}", "compiled for", Compiled::new(&net, "layer3")?);
        Ok(())
    }
}
