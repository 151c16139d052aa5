"""Object files as clang makes them: LLVM's code generator for BPF, without clang.

The types of maps are in BTF, which LLVM makes from debug information.
"""

from __future__ import annotations

from llvmlite import binding

HEADER = """
target triple = "{triple}"
!llvm.dbg.cu = !{{!0}}
!llvm.module.flags = !{{!1}}
!0 = distinct !DICompileUnit(language: DW_LANG_C99, file: !2, emissionKind: FullDebug, globals: !3)
!1 = !{{i32 2, !"Debug Info Version", i32 3}}
!2 = !DIFile(filename: "made.c", directory: "/")
!4 = !DIBasicType(name: "int", size: 32, encoding: DW_ATE_signed)
!5 = !DIBasicType(name: "unsigned int", size: 32, encoding: DW_ATE_unsigned)
!6 = !DIBasicType(name: "long", size: 64, encoding: DW_ATE_signed)
!7 = !DIDerivedType(tag: DW_TAG_typedef, name: "u64", file: !2, baseType: !6)
!8 = !DIDerivedType(tag: DW_TAG_const_type, baseType: !7)
"""

TYPES = {"unsigned": 5, "u64": 8}
"""The types that a key or a value can have here, by their numbers above."""


class Maps:
    """Definitions of maps in LLVM IR; a number for `__uint`, a type's name for `__type`."""

    def __init__(self, **definitions: dict[str, int | str]) -> None:
        self.lines: list[str] = []
        self.next = 100
        self.variables: list[int] = []
        for name, members in definitions.items():
            self.define(name, members)

    def meta(self, text: str) -> int:
        self.next += 1
        self.lines.append(f"!{self.next} = {text}")
        return self.next

    def define(self, name: str, members: dict[str, int | str]) -> None:
        fields = []
        for place, (member, value) in enumerate(members.items()):
            if isinstance(value, str):
                target = TYPES[value]
            else:
                extent = self.meta(f"!{{!{self.next + 2}}}")
                self.meta(f"!DISubrange(count: {value})")
                target = self.meta(
                    "!DICompositeType(tag: DW_TAG_array_type, baseType: !4, "
                    f"size: {32 * value}, elements: !{extent})"
                )
            pointer = self.meta(
                f"!DIDerivedType(tag: DW_TAG_pointer_type, baseType: !{target}, size: 64)"
            )
            fields.append(
                self.meta(
                    f'!DIDerivedType(tag: DW_TAG_member, name: "{member}", file: !2, '
                    f"baseType: !{pointer}, size: 64, offset: {64 * place})"
                )
            )
        elements = self.meta("!{" + ", ".join(f"!{field}" for field in fields) + "}")
        struct = self.meta(
            "distinct !DICompositeType(tag: DW_TAG_structure_type, file: !2, "
            f"size: {64 * len(fields)}, elements: !{elements})"
        )
        variable = self.meta(
            f'distinct !DIGlobalVariable(name: "{name}", scope: !0, file: !2, '
            f"type: !{struct}, isLocal: false, isDefinition: true)"
        )
        expression = self.meta(
            f"!DIGlobalVariableExpression(var: !{variable}, expr: !DIExpression())"
        )
        self.variables.append(expression)
        pointers = ", ".join(["ptr"] * len(fields))
        self.lines.append(
            f"@{name} = dso_local global {{ {pointers} }} zeroinitializer, "
            f'section ".maps", align 8, !dbg !{expression}'
        )

    def text(self) -> str:
        variables = ", ".join(f"!{each}" for each in self.variables)
        return "\n".join((*self.lines, f"!3 = !{{{variables}}}", ""))


def compiled(
    code: str, maps: Maps | None = None, *, triple: str = "bpfel", cpu: str = "v3"
) -> bytes:
    """Return the object that LLVM makes of IR."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    text = HEADER.format(triple=triple) + (maps or Maps()).text() + code
    machine = binding.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=2)
    module = binding.parse_assembly(text)
    module.verify()
    return machine.emit_object(module)


LICENSE = '@_license = dso_local global [4 x i8] c"GPL\\00", section "license", align 1\n'

EVERYTHING_MAPS = {
    "counts": {"type": 2, "key": "unsigned", "value": "u64", "max_entries": 4},
    "seen": {"type": 1, "key_size": 8, "value_size": 8, "max_entries": 16, "map_flags": 1},
}

EVERYTHING = (
    LICENSE
    + """
@port = dso_local constant i32 53, align 4
@start = dso_local global i32 7, align 4
@first_total = internal global i32 0, align 4
@total = internal global i32 0, align 4

define internal i32 @add(i32 %x) noinline {
  %old = load volatile i32, ptr @total
  %new = add i32 %old, %x
  store volatile i32 %new, ptr @total
  %same = load volatile i32, ptr @first_total
  %port = load volatile i32, ptr @port
  %sum = add i32 %new, %port
  %all = add i32 %sum, %same
  ret i32 %all
}

define dso_local i32 @count(i32 %x) noinline {
  %key = alloca i32
  store volatile i32 %x, ptr %key
  %found = call ptr inttoptr (i64 1 to ptr)(ptr @counts, ptr %key)
  %missing = icmp eq ptr %found, null
  br i1 %missing, label %none, label %some
some:
  %old = load i64, ptr %found
  %new = add i64 %old, 1
  store i64 %new, ptr %found
  %low = trunc i64 %new to i32
  ret i32 %low
none:
  %start = load volatile i32, ptr @start
  ret i32 %start
}

define dso_local i32 @sum(ptr %context) section "xdp" {
  %start = load i32, ptr %context
  %end_place = getelementptr i8, ptr %context, i64 4
  %end = load i32, ptr %end_place
  %length = sub i32 %end, %start
  %added = call i32 @add(i32 %length)
  %counted = call i32 @count(i32 1)
  %far = call i32 @count(i32 9)
  %all = add i32 %added, %counted
  %result = add i32 %all, %far
  ret i32 %result
}

define dso_local i32 @remember(ptr %context) section "xdp" {
  %key = alloca i64
  %value = alloca i64
  store volatile i64 5, ptr %key
  %found = call ptr inttoptr (i64 1 to ptr)(ptr @seen, ptr %key)
  %missing = icmp eq ptr %found, null
  br i1 %missing, label %none, label %some
some:
  ret i32 1
none:
  store volatile i64 6, ptr %value
  %done = call i64 inttoptr (i64 2 to ptr)(ptr @seen, ptr %key, ptr %value, i64 0)
  ret i32 2
}
"""
)
"""Two XDP programs; maps, variables of all three kinds, and calls to a static and another function.

`sum` returns the length of all packets so far, 53, how often it was run, and 7.
"""


def everything(**options: str) -> bytes:
    """Return the object with everything in it."""
    return compiled(EVERYTHING, Maps(**EVERYTHING_MAPS), **options)
