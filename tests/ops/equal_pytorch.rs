//! Values and input gradients of every operation against PyTorch (scripts/reference/ops.py).

use crate::common::{flat, json, relative, tensors};
use crate::pools::{avg_pool, max_pool};
use metamers::candle::{Tensor, Var};
use metamers::ops::{Conv2d, Conv2dConfig, Frozen, GlobalAvgPool, Linear, Padding, Relu, Window, vjp};
use serde_json::Value;

fn pair(case: &Value, key: &str) -> [usize; 2] {
    let at = |i: usize| case[key][i].as_u64().unwrap() as usize;
    [at(0), at(1)]
}

fn padding(case: &Value) -> Padding {
    let at = |i: usize| case["padding"][i].as_u64().unwrap() as usize;
    Padding { top: at(0), bottom: at(1), left: at(2), right: at(3) }
}

fn run(case: &Value, x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>) -> metamers::Result<Tensor> {
    let window = || Window::new(pair(case, "kernel")).strides(pair(case, "stride")).padding(padding(case));
    let flag = |key: &str| case[key].as_bool().unwrap();
    let dilated = || window().dilations(pair(case, "dilation"));
    match case["op"].as_str().unwrap() {
        "conv2d" | "depthwise_conv2d" => {
            let groups = case["groups"].as_u64().unwrap() as usize;
            let w = dilated();
            let config = Conv2dConfig { stride: w.stride, dilation: w.dilation, padding: w.padding, groups };
            Conv2d::new(weight.unwrap(), bias, config)?.apply(x)
        }
        "linear" => Linear::new(weight.unwrap(), bias)?.apply(x),
        "max_pool2d" => max_pool(dilated(), flag("ceil_mode")).apply(x),
        "avg_pool2d" => avg_pool(window(), flag("ceil_mode"), flag("count_include_pad")).apply(x),
        "global_avg_pool2d" => GlobalAvgPool.apply(x),
        "relu" => Relu::UNBOUNDED.apply(x),
        "relu6" => Relu::RELU6.apply(x),
        other => panic!("unknown operation in the reference: {other}"),
    }
}

#[test]
fn values_and_input_gradients_equal_pytorch() {
    let (cases, tensors) = (json("ops.json"), tensors("ops.safetensors"));
    let cases = cases["cases"].as_array().unwrap();
    assert!(cases.len() >= 40, "too few cases in the reference file");
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let get = |part: &str| tensors.get(&format!("{name}.{part}"));
        let x = Var::from_tensor(get("input").unwrap()).unwrap();
        let y = run(case, &x, get("weight"), get("bias")).unwrap_or_else(|e| panic!("{name}: {e}"));
        let expected = get("output").unwrap();
        assert_eq!(y.elem_count(), expected.elem_count(), "{name}: {:?} for {:?}", y.dims(), expected.dims());
        assert!(relative(&flat(&y), &flat(expected)) < 1e-6, "{name}: values");

        let cotangent = get("grad_output").unwrap().reshape(y.shape()).unwrap();
        let gradient = vjp(&y, &cotangent, &x).unwrap();
        let error = relative(&flat(&gradient), &flat(get("grad_input").unwrap()));
        assert!(error < 1e-6, "{name}: gradient is off by {error}");
    }
}
