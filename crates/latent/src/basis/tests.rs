use super::*;
use domex_random::Streams;

fn random(rows: usize, columns: usize, name: &str) -> Tensor {
    let mut stream = Streams::new(11).stream(name);
    let values: Vec<f64> = (0..rows * columns).map(|_| stream.normal_f64()).collect();
    Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
}

const DOMAIN_EXPANSION: BasisKinds = BasisKinds {
    domain_expansion: true,
    genforce: false,
};
const GENFORCE: BasisKinds = BasisKinds {
    domain_expansion: false,
    genforce: true,
};
const NONE: BasisKinds = BasisKinds {
    domain_expansion: false,
    genforce: false,
};

fn matrix(name: &str, kinds: BasisKinds, weight: Tensor) -> ActingMatrix {
    ActingMatrix {
        name: name.into(),
        kinds,
        weight,
    }
}

fn network() -> Vec<ActingMatrix> {
    [
        ("b4.conv1", BasisKinds::ALL, 9),
        ("b4.torgb", DOMAIN_EXPANSION, 7),
        ("b8.conv0", BasisKinds::ALL, 6),
        ("b8.torgb", NONE, 5),
        ("b16.conv0", BasisKinds::ALL, 4),
        ("b16.torgb", GENFORCE, 4),
    ]
    .into_iter()
    .map(|(name, kinds, rows)| matrix(name, kinds, random(rows, 6, name)))
    .collect()
}

fn largest(t: &Tensor) -> f64 {
    t.abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn each_kind_stacks_its_own_matrices() -> Result<()> {
    let net = network();
    let basis = Basis::from_matrices(&BasisKind::DomainExpansion, &net)?;
    assert_eq!(
        basis.sources(),
        ["b4.conv1", "b4.torgb", "b8.conv0", "b16.conv0"]
    );
    let all = Basis::from_matrices(&BasisKind::Genforce { layers: None }, &net)?;
    assert_eq!(
        all.sources(),
        ["b4.conv1", "b8.conv0", "b16.conv0", "b16.torgb"]
    );
    let some = BasisKind::Genforce {
        layers: Some(vec![3, 1, 1]),
    };
    assert_eq!(
        Basis::from_matrices(&some, &net)?.sources(),
        ["b8.conv0", "b16.torgb"]
    );
    // Rows of unit length: the squares of the singular values sum to the number of rows.
    let sum: f64 = all.eigenvalues().unwrap().iter().sum();
    assert!((sum - 23.0).abs() < 1e-9, "{sum}");
    Ok(())
}

#[test]
fn columns_are_orthonormal_and_values_are_their_gains() -> Result<()> {
    let net = network();
    for kind in [
        BasisKind::DomainExpansion,
        BasisKind::Genforce { layers: None },
    ] {
        let basis = Basis::from_matrices(&kind, &net)?;
        let v = basis.vectors();
        let identity = Tensor::eye(6, DType::F64, &Device::Cpu)?;
        assert!(largest(&(v.t()?.matmul(v)? - identity)?) < 1e-13);
        let values = basis.values().unwrap();
        assert!(values.windows(2).all(|w| w[0] >= w[1]), "{values:?}");
        for (gain, value) in basis.gains(&kind, &net)?.iter().zip(values) {
            assert!((gain - value).abs() < 1e-12, "{gain} {value}");
        }
        for column in v.t()?.to_vec2::<f64>()? {
            let top = column
                .iter()
                .fold(0.0_f64, |m, x| if x.abs() > m.abs() { *x } else { m });
            assert!(top > 0.0, "sign rule: {column:?}");
        }
    }
    Ok(())
}

/// A tall stack goes through a QR step first; small singular values must survive it. The Gram matrix
/// would lose everything below 1e-8 of the largest.
#[test]
fn tall_stacks_keep_small_singular_values() -> Result<()> {
    let (u, _) = factor::right_singular_vectors(&to_mat(&random(60, 40, "u")))?;
    let (v, _) = factor::right_singular_vectors(&to_mat(&random(8, 5, "v")))?;
    let wanted = [1e3, 1.0, 1e-3, 1e-6, 1e-9];
    let scaled = u
        .narrow(1, 0, 5)?
        .broadcast_mul(&Tensor::new(&wanted, &Device::Cpu)?)?;
    let weight = scaled.matmul(&v.t()?)?;
    let basis = Basis::from_matrices(
        &BasisKind::DomainExpansion,
        &[matrix("w", BasisKinds::ALL, weight)],
    )?;
    for (found, wanted) in basis.values().unwrap().iter().zip(wanted) {
        assert!(
            (found - wanted).abs() < 1e-11 + 1e-12 * wanted,
            "{found} {wanted}"
        );
    }
    assert!(largest(&(basis.vectors().abs()? - v.abs()?)?) < 1e-3);
    assert!(
        largest(&(basis.vectors().narrow(1, 0, 4)?.abs()? - v.narrow(1, 0, 4)?.abs()?)?) < 1e-6
    );
    Ok(())
}

fn to_mat(t: &Tensor) -> faer::Mat<f64> {
    let rows: Vec<Vec<f64>> = t.to_vec2().unwrap();
    faer::Mat::from_fn(rows.len(), rows[0].len(), |i, j| rows[i][j])
}

#[test]
fn fewer_rows_than_dimensions_give_fewer_columns() -> Result<()> {
    let short = matrix("w", BasisKinds::ALL, random(3, 6, "short"));
    let basis = Basis::from_matrices(&BasisKind::DomainExpansion, &[short])?;
    assert_eq!((basis.latent_dim(), basis.count()), (6, 3));
    assert_eq!(basis.eigenvalues().unwrap()[3..], [0.0; 3]);
    Ok(())
}

#[test]
fn a_tiny_change_of_the_weights_keeps_signs() -> Result<()> {
    let net = network();
    let mut moved = net.clone();
    for m in &mut moved {
        m.weight = (&m.weight + (random(m.weight.dims()[0], 6, "noise") * 1e-9)?)?;
    }
    let a = Basis::from_matrices(&BasisKind::DomainExpansion, &net)?;
    let b = Basis::from_matrices(&BasisKind::DomainExpansion, &moved)?;
    assert!(largest(&(a.vectors() - b.vectors())?) < 1e-6);
    Ok(())
}

#[test]
fn a_given_basis_is_kept_bit_for_bit() -> Result<()> {
    let made = Basis::from_matrices(&BasisKind::DomainExpansion, &network())?;
    // Unsorted, re-signed, in another type.
    let odd = (made.directions(&[3, 0, 5], &Device::Cpu, DType::F32)?.t()? * -1.0)?;
    let given = Basis::given(odd.clone())?;
    assert_eq!(given.kind(), &BasisKind::Given);
    assert_eq!(given.vectors().dtype(), DType::F32);
    assert_eq!(given.vectors().to_vec2::<f32>()?, odd.to_vec2::<f32>()?);
    assert!(given.values().is_none() && given.count() == 3);
    let half = Basis::given(made.vectors().to_dtype(DType::F16)?)?;
    assert_eq!(half.vectors().dtype(), DType::F16);
    Ok(())
}

#[test]
fn what_is_not_a_basis_is_refused() -> Result<()> {
    let good = Basis::from_matrices(&BasisKind::DomainExpansion, &network())?
        .vectors()
        .clone();
    let skewed = (&good + 1e-3)?;
    let text = Basis::given(skewed).unwrap_err().to_string();
    assert!(text.contains("orthonormal"), "{text}");
    assert!(matches!(
        Basis::given((&good * 2.0)?),
        Err(Error::NotOrthonormal { row: 0, .. })
    ));
    assert!(matches!(
        Basis::given((&good / 0.0)?),
        Err(Error::NotFinite { .. })
    ));
    assert!(matches!(
        Basis::given(good.narrow(0, 0, 3)?),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        Basis::given(good.get(0)?),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        Basis::given(good.to_dtype(DType::I64)?),
        Err(Error::Setting { .. })
    ));
    Ok(())
}

#[test]
fn bad_matrices_are_refused_by_name() -> Result<()> {
    let kind = BasisKind::DomainExpansion;
    let refuse = |net: &[ActingMatrix], kind: &BasisKind| {
        Basis::from_matrices(kind, net).unwrap_err().to_string()
    };
    assert!(refuse(&[], &kind).contains("at least one"));
    let other = matrix("rgb", GENFORCE, random(4, 6, "rgb"));
    assert!(refuse(&[other], &kind).contains("none of 1"));
    let mut net = network();
    net[2].weight = random(6, 5, "narrow");
    assert!(refuse(&net, &kind).contains("b8.conv0: shape [6, 5], expected [rows, 6]"));
    net[2].weight = (random(6, 6, "inf") / 0.0)?;
    assert!(refuse(&net, &kind).contains("b8.conv0: entry 0"));
    net[2].weight = random(36, 1, "flat").flatten_all()?;
    assert!(refuse(&net, &kind).contains("b8.conv0"));
    let wrong = BasisKind::Genforce {
        layers: Some(vec![4]),
    };
    assert!(refuse(&network(), &wrong).contains("basis layer: 4, expected 0 to 3"));
    let none = BasisKind::Genforce {
        layers: Some(vec![]),
    };
    assert!(refuse(&network(), &none).contains("acting matrices"));
    assert!(refuse(&network(), &BasisKind::Given).contains("given"));
    Ok(())
}

#[test]
fn directions_are_rows_in_the_order_asked_for() -> Result<()> {
    let basis = Basis::from_matrices(&BasisKind::DomainExpansion, &network())?;
    let rows: Vec<Vec<f64>> = basis
        .directions(&[5, 1, 5], &Device::Cpu, DType::F64)?
        .to_vec2()?;
    let columns: Vec<Vec<f64>> = basis.vectors().t()?.to_vec2()?;
    assert_eq!(
        rows,
        [columns[5].clone(), columns[1].clone(), columns[5].clone()]
    );
    let error = basis
        .directions(&[6], &Device::Cpu, DType::F64)
        .unwrap_err();
    assert!(
        error.to_string().contains("dimension 6 is out of range"),
        "{error}"
    );
    Ok(())
}

#[test]
fn kinds_read_back_from_json() -> std::result::Result<(), serde_json::Error> {
    for kind in [
        BasisKind::DomainExpansion,
        BasisKind::Given,
        BasisKind::Genforce {
            layers: Some(vec![0, 2]),
        },
    ] {
        let json = serde_json::to_string(&kind)?;
        assert_eq!(serde_json::from_str::<BasisKind>(&json)?, kind, "{json}");
    }
    Ok(())
}
