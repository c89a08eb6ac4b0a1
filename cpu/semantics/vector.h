// The templates of every vector micro-op: what vector_ops.def names, for engines to instantiate.
//
// The floating-point ones need the environment of fp_environment.h around them; a guest that
// unmasks an exception gets the checked form of vector_checked.h.
#pragma once

#include "cpu/semantics/vector_avx.h"
#include "cpu/semantics/vector_crypto.h"
#include "cpu/semantics/vector_float.h"
#include "cpu/semantics/vector_fused.h"
#include "cpu/semantics/vector_integer.h"
#include "cpu/semantics/vector_round.h"
#include "cpu/semantics/vector_shuffle.h"
#include "cpu/semantics/vector_sse41.h"
#include "cpu/semantics/vector_ssse3.h"
#include "cpu/semantics/vector_text.h"
