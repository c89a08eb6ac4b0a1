#include "translator/ir/micro_op.h"

#include "cpu/semantics/integer.h"

namespace penumbra::translator {
namespace {

constexpr const char* kNames[] = {
#define PENUMBRA_OP(name, shape) #name,
#include "translator/ir/ops.def"
#undef PENUMBRA_OP
#define PENUMBRA_VECTOR_OP(name, shape) #name,
#include "cpu/semantics/vector_ops.def"
#undef PENUMBRA_VECTOR_OP
};

// The flag family of an integer micro-op is a constant of its template.
template <class Template>
constexpr cpu::FlagFamily family() {
  return Template::kFamily;
}

}  // namespace

const char* name_of(Op op) { return kNames[static_cast<u16>(op)]; }

cpu::FlagFamily flag_family_of(Op op) {
  switch (op) {
#define PENUMBRA_FAMILY_Unary(name) \
  case Op::name:                    \
    return family<cpu::name>();
#define PENUMBRA_FAMILY_Binary(name) \
  case Op::name:                     \
    return family<cpu::name>();
#define PENUMBRA_FAMILY_Counted(name) \
  case Op::name:                      \
    return family<cpu::name>();
#define PENUMBRA_FAMILY_Ternary(name) \
  case Op::name:                      \
    return family<cpu::name>();
#define PENUMBRA_FAMILY_Divide(name)
#define PENUMBRA_FAMILY_Move(name)
#define PENUMBRA_FAMILY_Code(name)
#define PENUMBRA_FAMILY_Address(name)
#define PENUMBRA_FAMILY_Widen(name)
#define PENUMBRA_FAMILY_ReadFlags(name)
#define PENUMBRA_FAMILY_WriteFlags(name)
#define PENUMBRA_FAMILY_FlagState(name)
#define PENUMBRA_FAMILY_Memory(name)
#define PENUMBRA_FAMILY_Segmented(name)
#define PENUMBRA_FAMILY_Check(name)
#define PENUMBRA_FAMILY_Hint(name)
#define PENUMBRA_FAMILY_Control(name)
#define PENUMBRA_OP(name, shape) PENUMBRA_FAMILY_##shape(name)
#include "translator/ir/ops.def"
#undef PENUMBRA_OP
    case Op::BranchSub:
      return cpu::FlagFamily::Sub;
    case Op::BranchAnd:
      return cpu::FlagFamily::Logic;
    default:
      return cpu::FlagFamily::Explicit;
  }
}

u32 flags_set_by(Op op) { return cpu::flags_of(flag_family_of(op)); }

}  // namespace penumbra::translator
