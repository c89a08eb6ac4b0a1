#include "cpu/semantics/vector_fused.h"

#include "cpu/semantics/fp_environment.h"

namespace penumbra::cpu {
namespace {

/// Sets the host's sticky bits.
void raise_sticky(u32 flags) {
  u32 host = fp_environment::read_host();
  fp_environment::write_host(host | (flags & Mxcsr::kSticky));
}

template <class Lane>
V128 fuse_lanes(FusedKind kind, unsigned count, V128 a, V128 b, V128 c) {
  FloatFormat format = sizeof(Lane) == 8 ? kDouble : kSingle;
  u32 mxcsr = fp_environment::read_host(), flags = 0;
  Lanes<Lane> to = lanes<Lane>(c);
  for (unsigned i = 0; i < count; ++i) {
    SoftResult result = fused_multiply_add(format, lanes<Lane>(a)[i], lanes<Lane>(b)[i],
                                           lanes<Lane>(c)[i], fused_signs(kind, i), mxcsr);
    to[i] = static_cast<Lane>(result.bits);
    flags |= result.flags;
  }
  raise_sticky(flags);
  return vector_of(to);
}

}  // namespace

V128 soft_fused(FusedKind kind, bool is_double, bool is_scalar, V128 a, V128 b, V128 c) {
  if (is_double) return fuse_lanes<u64>(kind, is_scalar ? 1 : 2, a, b, c);
  return fuse_lanes<u32>(kind, is_scalar ? 1 : 4, a, b, c);
}

V128 soft_to_half(V128 a, u8 control) {
  u32 mxcsr = half_rounding(fp_environment::read_host(), control), flags = 0;
  Lanes<u16> to{};
  for (unsigned i = 0; i < 4; ++i) {
    SoftResult result = half_from_single(lanes<u32>(a)[i], mxcsr);
    to[i] = static_cast<u16>(result.bits);
    flags |= result.flags;
  }
  raise_sticky(flags);
  return vector_of(to);
}

V128 soft_from_half(V128 a) {
  Lanes<u32> to{};
  u32 flags = 0;
  for (unsigned i = 0; i < 4; ++i) {
    SoftResult result = single_from_half(lanes<u16>(a)[i]);
    to[i] = static_cast<u32>(result.bits);
    flags |= result.flags;
  }
  raise_sticky(flags);
  return vector_of(to);
}

}  // namespace penumbra::cpu
