#include "x87_encodings.h"

#include "cpu/ops.h"

namespace penumbra::cpu::test {
namespace {

struct Row {
  const char* name = nullptr;
  NamedOperation operation = nullptr;
  u16 size = 0;
};

/// Register operands in assembly order.
enum class Shape : u8 { None, Source, Destination, StSource };
// Source: ST(i). Destination: ST(i), ST(0). StSource: ST(0), ST(i).

struct RegisterRow {
  const char* name = nullptr;
  NamedOperation operation = nullptr;
  Shape shape = Shape::None;
};

#define M(name, size) {#name, ops::name, size}
constexpr Row kMemory[8][8] = {
    {M(fadd, 4), M(fmul, 4), M(fcom, 4), M(fcomp, 4), M(fsub, 4), M(fsubr, 4), M(fdiv, 4),
     M(fdivr, 4)},
    {M(fld, 4),
     {},
     M(fst, 4),
     M(fstp, 4),
     M(fldenv, 28),
     M(fldcw, 2),
     M(fnstenv, 28),
     M(fnstcw, 2)},
    {M(fiadd, 4), M(fimul, 4), M(ficom, 4), M(ficomp, 4), M(fisub, 4), M(fisubr, 4), M(fidiv, 4),
     M(fidivr, 4)},
    {M(fild, 4), {}, M(fist, 4), M(fistp, 4), {}, M(fld, 10), {}, M(fstp, 10)},
    {M(fadd, 8), M(fmul, 8), M(fcom, 8), M(fcomp, 8), M(fsub, 8), M(fsubr, 8), M(fdiv, 8),
     M(fdivr, 8)},
    {M(fld, 8), {}, M(fst, 8), M(fstp, 8), M(frstor, 108), {}, M(fnsave, 108), M(fnstsw, 2)},
    {M(fiadd, 2), M(fimul, 2), M(ficom, 2), M(ficomp, 2), M(fisub, 2), M(fisubr, 2), M(fidiv, 2),
     M(fidivr, 2)},
    {M(fild, 2), {}, M(fist, 2), M(fistp, 2), M(fbld, 10), M(fild, 8), M(fbstp, 10), M(fistp, 8)},
};
#undef M

#define R(name, shape) {#name, ops::name, Shape::shape}
/// By opcode and reg field, for the groups in which all eight ST(i) do the same.
constexpr RegisterRow kRegister[8][8] = {
    {R(fadd, StSource), R(fmul, StSource), R(fcom, Source), R(fcomp, Source), R(fsub, StSource),
     R(fsubr, StSource), R(fdiv, StSource), R(fdivr, StSource)},
    {R(fld, Source), R(fxch, Source), {}, R(fstpnce, Source), {}, {}, {}, {}},
    {R(fcmovb, StSource),
     R(fcmove, StSource),
     R(fcmovbe, StSource),
     R(fcmovu, StSource),
     {},
     {},
     {},
     {}},
    {R(fcmovnb, StSource),
     R(fcmovne, StSource),
     R(fcmovnbe, StSource),
     R(fcmovnu, StSource),
     {},
     R(fucomi, StSource),
     R(fcomi, StSource),
     {}},
    {R(fadd, Destination), R(fmul, Destination), R(fcom, Source), R(fcomp, Source),
     R(fsubr, Destination), R(fsub, Destination), R(fdivr, Destination), R(fdiv, Destination)},
    {R(ffree, Source),
     R(fxch, Source),
     R(fst, Source),
     R(fstp, Source),
     R(fucom, Source),
     R(fucomp, StSource),
     {},
     {}},
    {R(faddp, Destination),
     R(fmulp, Destination),
     R(fcomp, Source),
     {},
     R(fsubrp, Destination),
     R(fsubp, Destination),
     R(fdivrp, Destination),
     R(fdivp, Destination)},
    {R(ffreep, Source),
     R(fxch, Source),
     R(fstp, Source),
     R(fstp, Source),
     {},
     R(fucomip, StSource),
     R(fcomip, StSource),
     {}},
};
#undef R

struct Single {
  u8 opcode, modrm;
  const char* name;
  NamedOperation operation;
};
#define S(opcode, modrm, name) {opcode, modrm, #name, ops::name}
constexpr Single kSingle[] = {
    S(0xd9, 0xd0, fnop),    S(0xd9, 0xe0, fchs),    S(0xd9, 0xe1, fabs),    S(0xd9, 0xe4, ftst),
    S(0xd9, 0xe5, fxam),    S(0xd9, 0xe8, fld1),    S(0xd9, 0xe9, fldl2t),  S(0xd9, 0xea, fldl2e),
    S(0xd9, 0xeb, fldpi),   S(0xd9, 0xec, fldlg2),  S(0xd9, 0xed, fldln2),  S(0xd9, 0xee, fldz),
    S(0xd9, 0xf0, f2xm1),   S(0xd9, 0xf1, fyl2x),   S(0xd9, 0xf2, fptan),   S(0xd9, 0xf3, fpatan),
    S(0xd9, 0xf4, fxtract), S(0xd9, 0xf5, fprem1),  S(0xd9, 0xf6, fdecstp), S(0xd9, 0xf7, fincstp),
    S(0xd9, 0xf8, fprem),   S(0xd9, 0xf9, fyl2xp1), S(0xd9, 0xfa, fsqrt),   S(0xd9, 0xfb, fsincos),
    S(0xd9, 0xfc, frndint), S(0xd9, 0xfd, fscale),  S(0xd9, 0xfe, fsin),    S(0xd9, 0xff, fcos),
    S(0xda, 0xe9, fucompp), S(0xdb, 0xe2, fnclex),  S(0xdb, 0xe3, fninit),  S(0xde, 0xd9, fcompp),
};
#undef S

X87Encoding memory_encoding(unsigned opcode, unsigned reg, const Row& row) {
  X87Encoding e{
      static_cast<u8>(0xd8 + opcode), static_cast<u8>(reg << 3 | 6), row.name, row.operation, {}};
  e.operands.at[0] = {OperandKind::Memory, 0, row.size};
  e.operands.count = 1;
  e.operands.memory.base = 6;
  return e;
}

X87Encoding register_encoding(unsigned opcode, unsigned modrm, const RegisterRow& row) {
  X87Encoding e{
      static_cast<u8>(0xd8 + opcode), static_cast<u8>(modrm), row.name, row.operation, {}};
  Operand st0{OperandKind::X87, 0, 10};
  Operand sti{OperandKind::X87, static_cast<u8>(modrm & 7), 10};
  e.operands.count = row.shape == Shape::Source ? 1 : 2;
  e.operands.at[0] = row.shape == Shape::StSource ? st0 : sti;
  if (row.shape != Shape::Source) e.operands.at[1] = row.shape == Shape::StSource ? sti : st0;
  return e;
}

}  // namespace

std::vector<X87Encoding> x87_encodings() {
  std::vector<X87Encoding> all;
  for (unsigned opcode = 0; opcode < 8; ++opcode) {
    for (unsigned reg = 0; reg < 8; ++reg)
      if (kMemory[opcode][reg].operation)
        all.push_back(memory_encoding(opcode, reg, kMemory[opcode][reg]));
    for (unsigned modrm = 0xc0; modrm < 0x100; ++modrm)
      if (const RegisterRow& row = kRegister[opcode][modrm >> 3 & 7]; row.operation)
        all.push_back(register_encoding(opcode, modrm, row));
  }
  for (const Single& single : kSingle)
    all.push_back({single.opcode, single.modrm, single.name, single.operation, {}});
  X87Encoding status_to_ax{0xdf, 0xe0, "fnstsw ax", ops::fnstsw, {}};
  status_to_ax.operands.at[0] = {OperandKind::Gpr, 0, 2};
  status_to_ax.operands.count = 1;
  all.push_back(status_to_ax);
  for (X87Encoding& e : all) {
    e.operands.length = 2;
    e.operands.x87_opcode = static_cast<u16>((e.opcode & 7) << 8 | e.modrm);
  }
  return all;
}

}  // namespace penumbra::cpu::test
