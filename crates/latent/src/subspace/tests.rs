use candle_core::{D, DType, Device, Tensor, Var};
use domex_random::Streams;

use super::*;
use crate::basis::{Basis, BasisKind, BasisKinds};
use crate::{ActingMatrix, Error, Result};

const DIM: usize = 7;
const CPU: Device = Device::Cpu;

fn random(shape: &[usize], name: &str) -> Tensor {
    let mut stream = Streams::new(3).stream(name);
    let values: Vec<f64> = (0..shape.iter().product())
        .map(|_| stream.normal_f64())
        .collect();
    Tensor::from_vec(values, shape, &CPU).unwrap()
}

fn basis() -> Basis {
    let weight = random(&[12, DIM], "weight");
    let matrix = ActingMatrix {
        name: "w".into(),
        kinds: BasisKinds::ALL,
        weight,
    };
    Basis::from_matrices(&BasisKind::DomainExpansion, &[matrix]).unwrap()
}

fn spaces(dims: &[usize]) -> Subspaces {
    Subspaces::new(&basis(), dims, None, &CPU, DType::F64).unwrap()
}

fn close(a: &Tensor, b: &Tensor) -> Result<bool> {
    assert_eq!(a.dims(), b.dims());
    Ok((a - b)?.abs()?.max_all()?.to_scalar::<f64>()? < 1e-12)
}

fn layout() -> Result<Layout> {
    let mut layout = Layout::new(DIM);
    layout.add("sketch", serde_json::json!({"type": "nada"}), None, 20.0)?;
    layout.add("elf", serde_json::Value::Null, Some(2), 10.0)?;
    Ok(layout)
}

#[test]
fn projection_is_idempotent_and_keeps_the_mean_on_repurposed_directions() -> Result<()> {
    let (spaces, mean) = (spaces(&[6, 2]), random(&[DIM], "mean"));
    for shape in [vec![4, DIM], vec![2, 3, DIM]] {
        let w = random(&shape, "w");
        for mean in [Some(&mean), None] {
            let base = spaces.project(&w, mean)?;
            assert!(close(&spaces.project(&base, mean)?, &base)?);
        }
        let away = spaces
            .project(&w, Some(&mean))?
            .broadcast_sub(&mean)?
            .reshape(((), DIM))?;
        let along = away.matmul(&basis().directions(&[6, 2], &CPU, DType::F64)?.t()?)?;
        assert!(close(&along, &along.zeros_like()?)?);
    }
    Ok(())
}

#[test]
fn both_forms_of_the_base_agree_when_all_others_are_listed() -> Result<()> {
    let listed = Subspaces::new(&basis(), &[6, 2], Some(&[0, 1, 3, 4, 5]), &CPU, DType::F64)?;
    let (w, mean) = (random(&[4, DIM], "w"), random(&[DIM], "mean"));
    assert!(close(
        &listed.project(&w, Some(&mean))?,
        &spaces(&[6, 2]).project(&w, Some(&mean))?
    )?);
    // Nothing listed: only the mean is left.
    let empty = Subspaces::new(&basis(), &[6, 2], Some(&[]), &CPU, DType::F64)?;
    assert!(close(&empty.project(&w, None)?, &w.zeros_like()?)?);
    // Nothing repurposed: nothing changes.
    assert!(close(&spaces(&[]).project(&w, Some(&mean))?, &w)?);
    Ok(())
}

/// A basis of fewer columns than D does not name all that is left; projection must not lose it.
#[test]
fn directions_outside_a_short_basis_stay_in_the_base() -> Result<()> {
    let short = Basis::given(basis().vectors().narrow(1, 0, 3)?)?;
    let spaces = Subspaces::new(&short, &[2], None, &CPU, DType::F64)?;
    let w = basis().directions(&[5], &CPU, DType::F64)?;
    assert!(close(&spaces.project(&w, None)?, &w)?);
    // The repurposed part goes, and only once when a dimension is repeated.
    let twice = Subspaces::new(&short, &[2, 2], None, &CPU, DType::F64)?;
    let w = random(&[3, DIM], "w");
    assert!(close(
        &twice.project(&w, None)?,
        &spaces.project(&w, None)?
    )?);
    let along = twice
        .project(&w, None)?
        .matmul(&short.vectors().narrow(1, 2, 1)?.contiguous()?)?;
    assert!(close(&along, &along.zeros_like()?)?);
    Ok(())
}

#[test]
fn traversal_moves_along_one_direction_and_keeps_the_order() -> Result<()> {
    let spaces = spaces(&[6, 2, 6]);
    let base = spaces.project(&random(&[2, 3, DIM], "w"), None)?;
    let edits = spaces.traverse(&base, &Steps::Each(vec![-1.5, 4.0]))?;
    assert_eq!(edits.dims(), [2, 3, 2, 3, DIM]);
    let columns = basis().directions(&[6, 2, 6], &CPU, DType::F64)?;
    for (a, step) in [-1.5, 4.0].into_iter().enumerate() {
        for d in 0..3 {
            let wanted = base.broadcast_add(&(columns.get(d)? * step)?)?;
            assert!(close(&edits.get(a)?.get(d)?, &wanted)?);
        }
    }
    let steps = Tensor::new(&[-1.5, 4.0], &CPU)?;
    assert!(close(
        &spaces.traverse(&base, &Steps::from_tensor(&steps)?)?,
        &edits
    )?);
    let scalar = Steps::from_tensor(&Tensor::new(4.0, &CPU)?)?;
    assert!(close(
        &spaces.traverse(&base, &scalar)?,
        &edits.narrow(0, 1, 1)?
    )?);
    Ok(())
}

#[test]
fn joint_steps_move_all_directions_at_once() -> Result<()> {
    let spaces = spaces(&[6, 2]);
    let base = spaces.project(&random(&[3, DIM], "w"), None)?;
    let grid = Steps::grid(2, (1, &[0.0, 5.0]), (0, &[1.0, 2.0, 3.0]))?;
    let edits = spaces.traverse(&base, &grid)?;
    assert_eq!(edits.dims(), [2, 3, 3, DIM]);
    assert!(close(
        &edits.get(1)?.get(2)?,
        &spaces.compose(&base, &[3.0, 5.0])?
    )?);
    // A path is a list of joint movements.
    let path = Steps::Joint(Tensor::new(&[[1.0, -1.0], [3.0, 5.0]], &CPU)?);
    let path = spaces.traverse(&base, &path)?;
    assert!(close(&path.get(1)?, &edits.get(1)?.get(2)?)?);
    Ok(())
}

#[test]
fn composition_extends_projection_and_traversal() -> Result<()> {
    let layout = layout()?;
    let spaces = layout.subspaces(&basis(), &CPU, DType::F64)?;
    let base = spaces.project(&random(&[3, 2, DIM], "w"), None)?;
    assert!(close(&spaces.compose(&base, &[0.0, 0.0])?, &base)?);
    let edits = spaces.traverse(&base, &Steps::one(10.0))?;
    let elf = spaces.compose(&base, &layout.strengths(&[("elf", 1.0)])?)?;
    assert!(close(&elf, &edits.get(0)?.get(1)?)?);
    // The order of the parts does not matter, and movements add up.
    let both = spaces.compose(&base, &layout.strengths(&[("elf", 1.0), ("sketch", 0.5)])?)?;
    let sum = (&elf + (spaces.compose(&base, &[10.0, 0.0])? - &base)?)?;
    assert!(close(&both, &sum)?);
    // The two movements are orthogonal.
    let (a, b) = ((&elf - &base)?, (&both - &elf)?);
    let product = (a * b)?.sum(D::Minus1)?;
    assert!(close(&product, &product.zeros_like()?)?);
    // One movement per sample.
    let each = Tensor::new(&[[10.0, 10.0], [0.0, 0.0], [0.0, 10.0]], &CPU)?;
    let shifted = spaces.shift(&base, &each)?;
    assert!(close(&shifted.get(0)?, &both.get(0)?)?);
    assert!(close(&shifted.get(1)?, &base.get(1)?)?);
    assert!(close(&shifted.get(2)?, &elf.get(2)?)?);
    Ok(())
}

/// d/dw of a weighted sum of project, traverse, compose and shift, against central differences.
#[test]
fn gradients_reach_the_latent_the_mean_and_the_coefficients() -> Result<()> {
    let loss = |w: &Tensor, mean: &Tensor, moves: &Tensor| -> Result<Tensor> {
        let spaces = Subspaces::new(&basis(), &[6, 2], None, &CPU, DType::F64)?;
        let base = spaces.project(w, Some(mean))?;
        let edits = spaces.traverse(&base, &Steps::Joint(moves.unsqueeze(0)?))?; // [1, 2, 2, 3, DIM]
        let shifted = spaces.shift(&base, moves)?;
        let composed = spaces.compose(&base, &[0.3, -0.7])?;
        let weigh = |t: &Tensor, name: &str| (t.sqr()? * random(t.dims(), name))?.sum_all();
        Ok(((weigh(&edits, "a")? + weigh(&shifted, "b")?)? + weigh(&composed, "c")?)?)
    };
    let inputs = [
        random(&[2, 3, DIM], "w"),
        random(&[DIM], "mean"),
        random(&[2, 2], "moves"),
    ];
    let vars = inputs
        .iter()
        .map(Var::from_tensor)
        .collect::<candle_core::Result<Vec<_>>>()?;
    let grads = loss(&vars[0], &vars[1], &vars[2])?.backward()?;
    for (which, var) in vars.iter().enumerate() {
        let grad: Vec<f64> = grads
            .get(var)
            .expect("a gradient")
            .flatten_all()?
            .to_vec1()?;
        let flat: Vec<f64> = inputs[which].flatten_all()?.to_vec1()?;
        for i in 0..flat.len() {
            let at = |delta: f64| -> Result<f64> {
                let mut moved = inputs.clone();
                let mut flat = flat.clone();
                flat[i] += delta;
                moved[which] = Tensor::from_vec(flat, inputs[which].dims(), &CPU)?;
                Ok(loss(&moved[0], &moved[1], &moved[2])?.to_scalar()?)
            };
            let wanted = (at(1e-5)? - at(-1e-5)?) / 2e-5;
            assert!(
                (grad[i] - wanted).abs() < 1e-6 * (1.0 + wanted.abs()),
                "{which} {i}"
            );
        }
    }
    Ok(())
}

#[test]
fn wrong_shapes_and_types_are_refused_in_words() -> Result<()> {
    let spaces = spaces(&[6, 2]);
    let w = random(&[2, DIM], "w");
    let text = spaces
        .project(&random(&[2, 5], "w"), None)
        .unwrap_err()
        .to_string();
    assert_eq!(
        text,
        "latent: shape [2, 5], expected [n, 7] or [n, layers, 7]"
    );
    assert!(spaces.project(&w.to_dtype(DType::F32)?, None).is_err());
    assert!(spaces.project(&w, Some(&random(&[5], "mean"))).is_err());
    assert!(spaces.traverse(&w, &Steps::Each(vec![])).is_err());
    assert!(
        spaces
            .traverse(&w, &Steps::Joint(random(&[2, 2, 3], "steps")))
            .is_err()
    );
    assert!(spaces.compose(&w, &[1.0]).is_err());
    assert!(spaces.shift(&w, &random(&[3, 2], "moves")).is_err());
    assert!(self::spaces(&[]).traverse(&w, &Steps::one(1.0)).is_err());
    assert!(Steps::grid(2, (0, &[1.0]), (0, &[1.0])).is_err());
    assert!(Steps::grid(2, (0, &[1.0]), (2, &[1.0])).is_err());
    let range = Subspaces::new(&basis(), &[DIM], None, &CPU, DType::F64);
    assert!(matches!(
        range,
        Err(Error::DimensionRange {
            index: DIM,
            count: DIM,
            ..
        })
    ));
    Ok(())
}

#[test]
fn a_w_plus_code_that_is_not_a_w_code_is_explained() -> Result<()> {
    let w = random(&[2, DIM], "w");
    let plus = to_w_plus(&w, 4)?;
    assert_eq!(plus.dims(), [2, 4, DIM]);
    assert_eq!(to_w(&plus, 0.0)?.to_vec2::<f64>()?, w.to_vec2::<f64>()?);
    assert_eq!(to_w(&w, 0.0)?.dims(), [2, DIM]);
    assert!(to_w_plus(&plus, 4).is_ok() && to_w_plus(&plus, 5).is_err());

    let mut values: Vec<f64> = plus.flatten_all()?.to_vec1()?;
    values[(4 + 2) * DIM + 3] += 0.5; // image 1, row 2
    let uneven = Tensor::from_vec(values.clone(), (2, 4, DIM), &CPU)?;
    let error = to_w(&uneven, 1e-6).unwrap_err();
    assert!(
        matches!(error, Error::NotW { sample: 1, row: 2, distance, .. } if (distance - 0.5).abs() < 1e-9)
    );
    let text = error.to_string();
    assert!(
        text.contains("row 2") && text.contains("5.00e-1") && text.contains("not a W code"),
        "{text}"
    );
    assert!(to_w(&uneven, 0.6).is_ok());
    values[DIM] = f64::NAN;
    assert!(to_w(&Tensor::from_vec(values, (2, 4, DIM), &CPU)?, 1e9).is_err());
    assert!(to_w(&w.get(0)?, 0.0).is_err());
    Ok(())
}

#[test]
fn the_most_dormant_free_dimension_comes_first() -> Result<()> {
    assert_eq!(choose_dimension(None, &[], 5)?, 4);
    assert_eq!(choose_dimension(None, &[4, 2], 5)?, 3);
    assert_eq!(choose_dimension(Some(0), &[4], 5)?, 0);
    assert!(matches!(
        choose_dimension(Some(5), &[], 5),
        Err(Error::DimensionRange { .. })
    ));
    assert!(matches!(
        choose_dimension(Some(4), &[4], 5),
        Err(Error::DimensionTaken { .. })
    ));
    assert!(matches!(
        choose_dimension(None, &[4, 3, 2, 1], 5),
        Err(Error::NoFreeDimension { .. })
    ));
    Ok(())
}

#[test]
fn a_layout_keeps_its_books() -> Result<()> {
    let mut layout = layout()?;
    assert_eq!(layout.repurposed(), [6, 2]);
    assert_eq!(layout.base(), [0, 1, 3, 4, 5]);
    assert_eq!(
        layout
            .add("zombie", serde_json::Value::Null, None, 20.0)?
            .dimension,
        5
    );
    assert_eq!(layout.domain("elf")?.distance, 10.0);
    assert_eq!(layout.strengths(&[("elf", 0.5)])?, [0.0, 5.0, 0.0]);

    let taken = layout
        .add("robot", serde_json::Value::Null, Some(2), 20.0)
        .unwrap_err();
    assert!(
        taken
            .to_string()
            .contains("dimension 2 is already taken by domain \"elf\""),
        "{taken}"
    );
    let twice = layout
        .add("elf", serde_json::Value::Null, None, 20.0)
        .unwrap_err();
    assert!(twice.to_string().contains("exists already"), "{twice}");
    // Who names a domain writes no space at the ends.
    layout.rename("zombie", " ghoul ")?;
    assert_eq!(layout.domain("ghoul")?.dimension, 5);
    layout.rename("ghoul", "zombie")?;
    let unknown = layout.domain("orc").unwrap_err();
    assert!(
        unknown.to_string().contains("known: sketch, elf, zombie"),
        "{unknown}"
    );
    for distance in [0.0, f64::NAN, f64::INFINITY] {
        assert!(
            layout
                .add("robot", serde_json::Value::Null, None, distance)
                .is_err()
        );
    }
    assert!(layout.add(" ", serde_json::Value::Null, None, 1.0).is_err());
    assert!(
        layout
            .add("robot", serde_json::Value::Null, Some(7), 1.0)
            .is_err()
    );
    assert!(layout.strengths(&[("elf", f64::NAN)]).is_err());

    assert_eq!(layout.remove("sketch")?.dimension, 6);
    assert!(layout.remove("sketch").is_err());
    assert_eq!(
        layout
            .add("robot", serde_json::Value::Null, None, 1.0)?
            .dimension,
        6
    );
    Ok(())
}

#[test]
fn a_listed_base_is_checked_and_shrinks() -> Result<()> {
    let mut layout = layout()?.with_base(vec![0, 1, 5])?;
    assert_eq!(layout.base(), [0, 1, 5]);
    layout.add("zombie", serde_json::Value::Null, Some(5), 20.0)?;
    assert_eq!(layout.base(), [0, 1]);
    assert!(layout.clone().with_base(vec![0, 2]).is_err());
    assert!(layout.clone().with_base(vec![0, 0]).is_err());
    assert!(layout.clone().with_base(vec![7]).is_err());
    Ok(())
}

#[test]
fn layouts_read_back_and_bad_files_are_refused()
-> std::result::Result<(), Box<dyn std::error::Error>> {
    for layout in [layout()?, layout()?.with_base(vec![1, 0])?] {
        let json = serde_json::to_string(&layout)?;
        assert_eq!(serde_json::from_str::<Layout>(&json)?, layout, "{json}");
    }
    let domain = |name: &str, dimension: i64| serde_json::json!({"name": name, "task": {}, "dimension": dimension, "distance": 20});
    let refuse = |value: serde_json::Value| {
        serde_json::from_value::<Layout>(value)
            .unwrap_err()
            .to_string()
    };
    let file =
        |domains: &[serde_json::Value]| serde_json::json!({"dimensions": 8, "domains": domains});
    assert!(serde_json::from_value::<Layout>(file(&[domain("a", 7), domain("b", 6)])).is_ok());
    assert!(refuse(file(&[domain("a", 7), domain("b", 7)])).contains("already taken"));
    assert!(refuse(file(&[domain("a", 7), domain("a", 6)])).contains("exists already"));
    assert!(refuse(file(&[domain("a", 8)])).contains("out of range"));
    assert!(refuse(file(&[domain("a", -1)])).contains("invalid value"));
    assert!(refuse(serde_json::json!({"dimensions": 8, "domain": []})).contains("unknown field"));
    let huge = serde_json::json!({"dimensions": 1_u64 << 60, "domains": [], "base": [1_u64 << 50]});
    assert!(refuse(huge).contains("at most 65536"));
    Ok(())
}

#[test]
fn a_layout_wants_its_own_basis() -> Result<()> {
    let error = Layout::new(5)
        .subspaces(&basis(), &CPU, DType::F64)
        .unwrap_err();
    assert!(
        error.to_string().contains("[7, 5] as the layout says"),
        "{error}"
    );
    Ok(())
}
