//! The new domains: a file of tasks and what flags add to it.

use std::path::{Path, PathBuf};

use domex_expand::{Dimensions, Recipe, TaskFile, TaskSpec};

use super::Expand;
use crate::exit::mendable;

/// What stands between a domain's name and its pictures on the command line.
const SHOWN: &str = "=@";

/// How the names of pictures end.
const PICTURES: [&str; 5] = ["png", "jpg", "jpeg", "gif", "webp"];

/// The file of tasks, or an empty one, with the flags that were given, and below both what the model's recipe says.
pub fn tasks(args: &Expand, recipe: &Recipe) -> anyhow::Result<TaskFile> {
    let mut file = match &args.tasks {
        Some(path) => TaskFile::read(path, recipe)?,
        None => recipe.file().clone(),
    };
    // Pictures are named as the file's folder sees them.
    let folder = match &args.tasks {
        Some(path) => std::path::absolute(path)?.parent().map(Path::to_owned),
        None => None,
    };
    let folder = folder.unwrap_or_default();
    for task in &mut file.tasks {
        task.pictures = listed(&folder, &task.pictures)?;
        task.texture = listed(&folder, &task.texture)?;
    }
    for text in &args.domain {
        file.tasks
            .push(domain(text, args.source.as_deref().unwrap_or("photo"))?);
    }
    if file.tasks.is_empty() {
        return Err(mendable(
            "no domains: give --domain \"pencil sketch\" once or more, or --tasks FILE",
        ));
    }
    flags(&mut file, args);
    file.validate()?;
    Ok(file)
}

/// "source=>target", "name=@pictures" or a target.
fn domain(text: &str, source: &str) -> anyhow::Result<TaskSpec> {
    let Some((name, list)) = text.split_once(SHOWN) else {
        let (source, target) = text.split_once("=>").unwrap_or((source, text));
        return Ok(TaskSpec::texts(source.trim(), target.trim()));
    };
    let names = list.split(',').map(str::trim);
    let names: Vec<PathBuf> = names.filter(|n| !n.is_empty()).map(PathBuf::from).collect();
    if names.is_empty() || name.trim().is_empty() {
        return Err(mendable(format!(
            "--domain {text:?}: expected NAME=@PICTURE, with a comma between several, or NAME=@FOLDER"
        )));
    }
    let pictures = listed(&std::env::current_dir()?, &names)?;
    Ok(TaskSpec::pictures(name.trim(), pictures))
}

/// Files as absolute paths, and for a folder the pictures in it by the order of their names.
fn listed(folder: &Path, paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let path = folder.join(path);
        if !path.is_dir() {
            files.push(path);
            continue;
        }
        let read = || -> std::io::Result<Vec<PathBuf>> {
            let entries = std::fs::read_dir(&path)?;
            entries.map(|entry| Ok(entry?.path())).collect()
        };
        let mut found = read().map_err(|error| mendable(format!("{}: {error}", path.display())))?;
        found.retain(|file| is_picture(file));
        if found.is_empty() {
            return Err(mendable(format!(
                "{}: a folder without pictures; expected files that end in .{}",
                path.display(),
                PICTURES.join(", .")
            )));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

fn is_picture(file: &Path) -> bool {
    let extension = file.extension().map(|e| e.to_string_lossy().to_lowercase());
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let known = extension.is_some_and(|extension| PICTURES.contains(&extension.as_str()));
    known && !name.starts_with('.') && file.is_file()
}

fn flags(file: &mut TaskFile, args: &Expand) {
    let config = &mut file.settings;
    set(&mut config.batch, args.batch);
    set(&mut config.lr, args.lr);
    set(&mut config.cooldown, args.cooldown);
    set(&mut config.distance, args.distance);
    set(&mut config.objective.expand, args.lambda_expand);
    set(&mut config.nada.weights.direction, args.lambda_direction);
    set(&mut config.nada.weights.global, args.lambda_global);
    set(&mut config.src, args.lambda_src);
    set(&mut config.objective.alignment.lpips, args.lambda_lpips);
    set(&mut config.objective.alignment.l2, args.lambda_l2);
    set(&mut config.gamma, args.gamma);
    set(&mut config.ema.kimg, args.ema);
    let probed = args.dimensions.as_deref().map(|how| match how {
        "probed" => Dimensions::Probed,
        _ => Dimensions::Dormant,
    });
    set(&mut config.dimensions, probed);
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
