use std::fs;

use super::*;
