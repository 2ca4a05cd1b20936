//! Kernels that reduce dimensions, select along one, or choose.

use candle_core::{D, DType, Device, Tensor};

use super::{Call, TYPES, close, fresh, raw, some};
use crate::{build::Program, runner::Host};

#[test]
fn sums_and_extremes() {
    let Some(mut host) = Host::start(Program::Tensors) else {
        return;
    };
    for dtype in TYPES {
        for (rows, cols) in [(3, 20), (2, 1), (1, 1500)] {
            let x = some(dtype, &[rows, cols], 1);
            if dtype == DType::U8 && cols > 1000 {
                continue; // The sum is beyond the type.
            }
            let threads = cols.min(1024).next_power_of_two();
            let run =
                |host: &mut Host, name: &str, want: &Tensor, count: usize, shape: [usize; 2]| {
                    let kernel = format!("{name}_{}", dtype.as_str());
                    let info = [rows, cols, cols, 1]
                        .iter()
                        .flat_map(|&v| (v as u64).to_le_bytes())
                        .collect();
                    let call = Call::default()
                        .sizes(&[count, cols, 2])
                        .buffer(info)
                        .buffer(raw(&x));
                    close(
                        &call
                            .buffer(fresh(want.dtype(), rows))
                            .launch(host, &kernel, shape),
                        want,
                        &kernel,
                    );
                };
            // candle sums half precision in half precision: the wanted sum comes from float32.
            let wide = if dtype.is_float() {
                x.to_dtype(DType::F64).unwrap()
            } else {
                x.clone()
            };
            let sum = wide.sum(D::Minus1).unwrap().to_dtype(dtype).unwrap();
            run(&mut host, "fast_sum", &sum, rows * cols, [rows, threads]);
            run(&mut host, "fast_sum_small", &sum, rows, [1, 256]);
            let all = rows * cols;
            run(
                &mut host,
                "fast_min",
                &x.min(D::Minus1).unwrap(),
                all,
                [rows, threads],
            );
            run(
                &mut host,
                "fast_max",
                &x.max(D::Minus1).unwrap(),
                all,
                [rows, threads],
            );
            // Repeats, of which the first counts.
            run(
                &mut host,
                "fast_argmin",
                &x.argmin(D::Minus1).unwrap(),
                all,
                [rows, threads],
            );
            run(
                &mut host,
                "fast_argmax",
                &x.argmax(D::Minus1).unwrap(),
                all,
                [rows, threads],
            );
        }
    }
}

#[test]
fn selecting_and_its_adjoints() {
    let Some(mut host) = Host::start(Program::Tensors) else {
        return;
    };
    // Seen as [left 2, dim 4, right 3], three indices along dim.
    let (left, dim, count, right) = (2, 4, 3, 3);
    for ids_type in [DType::U8, DType::U32, DType::I64] {
        let ids = Tensor::new(&[3u32, 0, 3], &Device::Cpu)
            .unwrap()
            .to_dtype(ids_type)
            .unwrap();
        let spread = Tensor::from_vec(
            (0..18).map(|i| (i * 7 % 4) as u32).collect(),
            (left, count, right),
            &Device::Cpu,
        )
        .unwrap();
        let spread = spread.to_dtype(ids_type).unwrap();
        for dtype in TYPES {
            let (x, y) = (
                some(dtype, &[left, dim, right], 1),
                some(dtype, &[left, count, right], 2),
            );
            let name = |op: &str| format!("{op}_{}_{}", ids_type.as_str(), dtype.as_str());

            let want = x.index_select(&ids, 1).unwrap();
            let call = Call::default()
                .sizes(&[18, 1])
                .buffer([3u64, 1].iter().flat_map(|v| v.to_le_bytes()).collect());
            let call = call
                .buffer(raw(&ids))
                .buffer(raw(&x))
                .buffer(fresh(dtype, 18))
                .sizes(&[left, dim, count, right]);
            close(
                &call.elements(&mut host, &name("is"), 18),
                &want,
                &name("is"),
            );

            let want = x.gather(&spread, 1).unwrap();
            let call = Call::default()
                .sizes(&[18])
                .buffer(raw(&spread))
                .buffer(raw(&x))
                .buffer(fresh(dtype, 18));
            let got =
                call.sizes(&[left, dim, count, right])
                    .elements(&mut host, &name("gather"), 18);
            close(&got, &want, &name("gather"));

            let want = x.index_add(&ids, &y, 1).unwrap();
            let call = Call::default()
                .buffer(raw(&ids))
                .sizes(&[count])
                .buffer(raw(&y))
                .buffer(raw(&x));
            let got = call.sizes(&[left, count, dim, right]).elements(
                &mut host,
                &name("ia"),
                left * right,
            );
            close(&got, &want, &name("ia"));

            for (op, want) in [
                ("sa", x.scatter_add(&spread, &y, 1)),
                ("s", x.scatter(&spread, &y, 1)),
            ] {
                let call = Call::default()
                    .buffer(raw(&spread))
                    .buffer(raw(&y))
                    .buffer(raw(&x));
                let got = call.sizes(&[left, count, dim, right]).elements(
                    &mut host,
                    &name(op),
                    left * right,
                );
                close(&got, &want.unwrap(), &name(op));
            }
        }
    }
}

#[test]
fn choosing_by_a_condition() {
    let Some(mut host) = Host::start(Program::Tensors) else {
        return;
    };
    for condition_type in [DType::U8, DType::U32, DType::I64] {
        let condition = Tensor::new(&[[1u32, 0, 2], [0, 1, 0]], &Device::Cpu)
            .unwrap()
            .to_dtype(condition_type)
            .unwrap();
        for dtype in TYPES {
            let (a, b) = (
                some(dtype, &[2, 3], 1),
                some(dtype, &[3, 2], 2).t().unwrap(),
            );
            let want = condition.where_cond(&a, &b).unwrap();
            let kernel = format!("where_{}_{}", condition_type.as_str(), dtype.as_str());
            let call = Call::default()
                .layout(&[&condition, &a, &b])
                .buffer(raw(&condition))
                .buffer(raw(&a));
            let call = call.buffer(raw(&b.t().unwrap())).buffer(fresh(dtype, 6));
            close(&call.elements(&mut host, &kernel, 6), &want, &kernel);
        }
    }
}
