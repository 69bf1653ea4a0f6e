//! Tensors across cells: one copy of candle, and no growth of threads and memory from cell to cell.

use crate::client::{Client, SharedKernel, proc_status, shared, turn};

const GRADIENT: &str = "gradient.flatten_all()?.to_vec1::<f32>()?";

fn kernel() -> SharedKernel {
    shared(module_path!())
}

#[test]
fn gradients_through_tensors_of_other_cells_are_correct() {
    let mut kernel = kernel();
    kernel
        .run("let w1 = Tensor::ones((2, 2), DType::F32, &Device::Cpu)?;\nlet w2 = w1.ones_like()?;\nlet w3 = w1.ones_like()?;")
        .ok();
    kernel.run("let x = Var::ones((2, 2), DType::F32, &Device::Cpu)?;").ok();
    kernel.run("let l = x.matmul(&w1)?.matmul(&w2)?.matmul(&w3)?.sum_all()?;").ok();
    kernel.run("let gradient = l.backward()?.get(&x).unwrap().clone();").ok();
    assert_eq!(kernel.run(GRADIENT).ok().result(), "[8.0, 8.0, 8.0, 8.0]");

    // A dependency on candle resolves to the library's copy.
    kernel.run(":dep candle-core = \"=0.11.1\"").ok();
    kernel
        .run("let own = candle_core::Tensor::ones((2, 2), candle_core::DType::F32, &candle_core::Device::Cpu)?;")
        .ok();
    kernel.run("let gradient = x.matmul(&own)?.matmul(&w2)?.sum_all()?.backward()?.get(&x).unwrap().clone();").ok();
    assert_eq!(kernel.run(GRADIENT).ok().result(), "[4.0, 4.0, 4.0, 4.0]");
}

/// A network with a known gradient: twice the sum of the three color channels, with positive values throughout.
const NETWORK: &str = r#"
let net = {
    use metamers::{network::{Builder, Input}, ops::{Conv2d, Relu}};
    let weight = Tensor::full(2f32, (1, 3, 1, 1), &Device::Cpu)?;
    let mut builder = Builder::new("tiny", Input::Image { shape: [3, 2, 2], resize: 2 });
    let node = builder.conv2d(builder.input(), Conv2d::new(&weight, None, Default::default())?)?;
    let node = builder.relu(node, Relu::UNBOUNDED)?;
    builder.stage("relu", node)?;
    builder.finish()?
};"#;

#[test]
fn gradients_through_a_network_of_another_cell_are_correct() {
    let mut kernel = kernel();
    kernel.run(NETWORK).ok();
    kernel.run("let pixels = Var::ones((1, 3, 2, 2), DType::F32, &Device::Cpu)?;").ok();
    kernel.run("let out = net.forward_to(\"relu\", &pixels)?.sum_all()?;").ok();
    kernel.run("let gradient = out.backward()?.get(&pixels).unwrap().clone();").ok();
    let twos = format!("[{}]", ["2.0"; 12].join(", "));
    assert_eq!(kernel.run(GRADIENT).ok().result(), twos);
}

#[test]
fn a_synthesis_continues_in_later_cells() {
    let mut kernel = kernel();
    kernel.run("let trained = zoo::efficientnet_lite0()?; let photo = Image::open(\"photos/dog.jpg\")?;").ok();
    kernel.run("let mut run = Synthesis::new(&trained, \"stem\", &photo)?.seed(1).start()?;").ok();
    let shown = kernel.run("for _ in 0..6 { run.step(2)?; }").ok();
    assert_eq!(shown.contents("display_data").len(), 1, "more than one output in the cell");
    assert!(shown.contents("update_display_data").len() >= 5);
    let snr = kernel.run("run.snr_db().unwrap()").ok().result().parse::<f64>().unwrap();
    assert!(snr > 6.0, "{snr} dB after 12 steps");
}

#[test]
fn threads_and_memory_do_not_grow_from_cell_to_cell() {
    let mut kernel = kernel();
    let pid: u32 = kernel.run("std::process::id()").ok().result().parse().unwrap();
    let work = |number: usize| {
        format!(
            "let big = Tensor::randn(0f32, 1., (512, 512), &Device::Cpu)?;\nlet product = big.matmul(&big)?;\n\
             println!(\"{{}}\", product.sum_all()?.to_scalar::<f32>()? + {number}.);"
        )
    };
    for number in 0..5 {
        kernel.run(&work(number)).ok();
    }
    let (threads, memory) = (proc_status(pid, "Threads:"), proc_status(pid, "VmRSS:"));
    for number in 5..30 {
        kernel.run(&work(number)).ok();
    }
    let (threads_then, memory_then) = (proc_status(pid, "Threads:"), proc_status(pid, "VmRSS:"));
    println!("threads {threads} -> {threads_then}, memory {memory} -> {memory_then} kB");
    assert_eq!(threads_then, threads);
    assert!(memory_then < memory + 8_000, "from {memory} to {memory_then} kB in 25 cells");
}

#[test]
fn a_tensor_as_a_result_shows_its_values_and_a_picture_of_its_shape() {
    let mut kernel = kernel();
    let outcome = kernel.run("Tensor::new(&[[1.5f32, 2.], [3., 4.]], &Device::Cpu)?").ok();
    let shown = outcome.contents("display_data");
    assert_eq!(shown.len(), 1, "{:?}", outcome.messages);
    let text = shown[0]["data"]["text/plain"].as_str().unwrap();
    assert!(text.contains("1.5000") && text.contains("[2, 2]") && text.contains("f32"), "{text}");
    assert!(shown[0]["data"]["image/png"].is_null());
    for code in [
        "Var::zeros((1, 3, 20, 20), DType::F32, &Device::Cpu)?",
        "let gray = Tensor::randn(0f32, 1., (20, 30), &Device::Cpu)?;\ngray",
    ] {
        let outcome = kernel.run(code).ok();
        let shown = outcome.contents("display_data");
        assert_eq!(shown.len(), 2, "{:?}", outcome.messages);
        assert!(shown[0]["data"]["text/plain"].as_str().unwrap().contains("Tensor[["));
        assert!(shown[1]["data"]["image/png"].is_string());
        assert!(shown[1]["data"]["text/plain"].as_str().unwrap().contains("black is"));
    }
}

/// The features of tokio's macros used to make cargo compile the library again, for minutes.
#[test]
fn a_dependency_with_macros_does_not_recompile_the_library() {
    let _turn = turn();
    let mut kernel = Client::start();
    let outcome = kernel.run(":dep tokio = { version = \"1\", features = [\"full\"] }\nlet kept = 6;").ok();
    let compiled = outcome.text("stderr");
    assert!(compiled.contains("Compiling tokio v"), "{compiled}");
    for name in ["syn", "serde", "candle-core", "metamers"] {
        assert!(!compiled.contains(&format!("Compiling {name} ")), "{compiled}");
    }
    let code = "let runtime = tokio::runtime::Runtime::new()?;\nruntime.block_on(async { kept + 1 })";
    assert_eq!(kernel.run(code).ok().result(), "7");
}
