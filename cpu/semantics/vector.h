// The templates of every vector micro-op: what vector_ops.def names. For engines.
#pragma once

#include "cpu/semantics/vector_float.h"
#include "cpu/semantics/vector_integer.h"
#include "cpu/semantics/vector_shuffle.h"
