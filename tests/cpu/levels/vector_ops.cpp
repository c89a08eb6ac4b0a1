// Compiled once a level: PENUMBRA_LEVEL_OPS is the name of that level's function.
#include "tests/cpu/vector_levels.h"

#include "cpu/semantics/vector.h"

namespace penumbra::cpu {
namespace {

V128 low_lane(u64 value) { return vector_of(Lanes<u64>{value, 0}); }

template <class F>
V128 run_VectorUnary(V128 a, V128, V128, u8) {
  return F::eval(a);
}
template <class F>
V128 run_VectorBinary(V128 a, V128 b, V128, u8) {
  return F::eval(a, b);
}
template <class F>
V128 run_VectorTernary(V128 a, V128 b, V128 c, u8) {
  return F::eval(a, b, c);
}
template <class F>
V128 run_VectorUnaryImmediate(V128 a, V128, V128, u8 immediate) {
  return F::eval(a, immediate);
}
template <class F>
V128 run_VectorBinaryImmediate(V128 a, V128 b, V128, u8 immediate) {
  return F::eval(a, b, immediate);
}
template <class F>
V128 run_VectorTernaryImmediate(V128 a, V128 b, V128 c, u8 immediate) {
  return F::eval(a, b, c, immediate);
}
template <class F>
V128 run_VectorFromInteger(V128 a, V128 b, V128, u8 immediate) {
  return F::template eval<Width::W64>(a, low_half(b), immediate);
}
template <class F>
V128 run_IntegerFromVector(V128 a, V128, V128, u8 immediate) {
  return low_lane(F::template eval<Width::W64>(a, immediate));
}
template <class F>
V128 run_VectorFlags(V128 a, V128 b, V128, u8) {
  return low_lane(F::eval(a, b));
}

constexpr LevelOp kOps[] = {
    // Those of SSE2 that shuffle bytes where the host can.
    {"Pshufd", run_VectorUnaryImmediate<Pshufd>},   {"Pshuflw", run_VectorUnaryImmediate<Pshuflw>},
    {"Pshufhw", run_VectorUnaryImmediate<Pshufhw>}, {"Shufps", run_VectorBinaryImmediate<Shufps>},
    {"Shufpd", run_VectorBinaryImmediate<Shufpd>},  {"Pinsrw", run_VectorFromInteger<Pinsrw>},
    {"Pextrw", run_IntegerFromVector<Pextrw>},
#define PENUMBRA_VECTOR_OP(name, shape) {#name, run_##shape<cpu::name>},
#include "cpu/semantics/vector_sse4_ops.def"
#undef PENUMBRA_VECTOR_OP
};

}  // namespace

LevelOps PENUMBRA_LEVEL_OPS() { return {kOps, sizeof kOps / sizeof *kOps}; }

}  // namespace penumbra::cpu
