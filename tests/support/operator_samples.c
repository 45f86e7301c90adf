#include "tests/support/operator_samples.h"

#include <stdio.h>
#include <stdlib.h>

static const int64_t ones[] = {1, 1, 1, 1}, twos[] = {2, 2}, threes[] = {3, 3}, pads[] = {1, 2, 0, 1},
                     no_pads[] = {0, 0, 0, 0}, backwards[] = {1, 0}, as_it_is[] = {0, 1, 2}, turned[] = {2, 0, 1};
static const int64_t one_axis[] = {2}, extra[] = {1, 0};

#define CONSTANT(i) (UINT32_C(1) << (i))
#define UNARY(op, opset)                                                                                               \
  { op, opset, {"3x5"}, 0, {{0}}, false, 0 }

static const operator_sample samples[] = {
    /* Functions of one number. */
    UNARY("Relu", 14),
    UNARY("LeakyRelu", 16),
    UNARY("Elu", 22),
    UNARY("Selu", 22),
    UNARY("Celu", 28),
    UNARY("Sigmoid", 13),
    UNARY("HardSigmoid", 22),
    UNARY("HardSwish", 22),
    UNARY("Softplus", 22),
    UNARY("Softsign", 22),
    UNARY("Mish", 22),
    UNARY("Gelu", 20),
    UNARY("Swish", 24),
    UNARY("ThresholdedRelu", 22),
    UNARY("Shrink", 9),
    UNARY("Tanh", 13),
    UNARY("Exp", 13),
    UNARY("Log", 13),
    UNARY("Erf", 13),
    UNARY("Sqrt", 13),
    UNARY("Reciprocal", 13),
    UNARY("Abs", 13),
    UNARY("Neg", 13),
    UNARY("Floor", 13),
    UNARY("Ceil", 13),
    UNARY("Round", 22),
    UNARY("Sign", 13),
    UNARY("Sin", 22),
    UNARY("Cos", 22),
    UNARY("Tan", 22),
    UNARY("Asin", 22),
    UNARY("Acos", 22),
    UNARY("Atan", 22),
    UNARY("Sinh", 22),
    UNARY("Cosh", 22),
    UNARY("Asinh", 22),
    UNARY("Acosh", 22),
    UNARY("Atanh", 22),
    {.op = "LeakyRelu", .opset = 16, .inputs = {"7"}, .attributes = {DRIVER_FLOAT("alpha", 0.3f)}},
    {.op = "Selu",
     .opset = 6,
     .inputs = {"7"},
     .attributes = {DRIVER_FLOAT("alpha", 0.3f), DRIVER_FLOAT("gamma", 1.5f)}},
    {.op = "Selu", .opset = 1, .inputs = {"7"}},
    {.op = "HardSigmoid",
     .opset = 6,
     .inputs = {"7"},
     .attributes = {DRIVER_FLOAT("alpha", 0.3f), DRIVER_FLOAT("beta", 0.25f)}},
    {.op = "Shrink",
     .opset = 9,
     .inputs = {"7"},
     .attributes = {DRIVER_FLOAT("lambd", 1), DRIVER_FLOAT("bias", 0.25f)}},
    {.op = "Gelu", .opset = 20, .inputs = {"7"}, .attributes = {DRIVER_STRING("approximate", "tanh")}},
    {.op = "Swish", .opset = 24, .inputs = {"7"}, .attributes = {DRIVER_FLOAT("alpha", 1.5f)}},
    {.op = "Clip", .opset = 6, .inputs = {"2x3x5"}, .attributes = {DRIVER_FLOAT("min", -1), DRIVER_FLOAT("max", 0.5f)}},
    {.op = "Clip", .opset = 6, .inputs = {"2x3x5"}},
    {.op = "Clip", .opset = 13, .inputs = {"2x3x5", "=-0.5", "=1"}, .constants = CONSTANT(1) | CONSTANT(2)},
    {.op = "Clip", .opset = 13, .inputs = {"2x3x5", NULL, "=1"}, .constants = CONSTANT(2)},
    {.op = "Clip", .opset = 13, .inputs = {"2x3x5", "=-0.5", "=1"}},
    {.op = "Pow", .opset = 15, .inputs = {"2x3x5", "=2"}, .constants = CONSTANT(1)},
    {.op = "Pow", .opset = 15, .inputs = {"+2x3x5", "=1.5"}, .constants = CONSTANT(1)},
    {.op = "Pow", .opset = 15, .inputs = {"+2x3x5", "3x1"}},
    {.op = "PRelu", .opset = 16, .inputs = {"2x3x5", "=0.25"}, .constants = CONSTANT(1)},
    {.op = "PRelu", .opset = 16, .inputs = {"2x3x5", "3x1"}, .constants = CONSTANT(1)},
    {.op = "PRelu", .opset = 16, .inputs = {"2x3x5", "5"}},
    {.op = "PRelu", .opset = 6, .inputs = {"2x3x5", "3"}},
    {.op = "PRelu", .opset = 6, .inputs = {"2x3x5", "1"}, .constants = CONSTANT(1)},

    /* Functions of several. */
    {.op = "Add", .opset = 14, .inputs = {"2x3x5", "3x1"}},
    {.op = "Add", .opset = 14, .inputs = {"2x3x5", "3x1"}, .constants = CONSTANT(1)},
    {.op = "Add", .opset = 14, .inputs = {"scalar", "2x3x5"}, .constants = CONSTANT(0)},
    {.op = "Add",
     .opset = 6,
     .inputs = {"2x3x5", "3"},
     .constants = CONSTANT(1),
     .attributes = {DRIVER_INT("broadcast", 1), DRIVER_INT("axis", 1)}},
    {.op = "Add", .opset = 6, .inputs = {"2x3", "2x3"}},
    {.op = "Sub", .opset = 14, .inputs = {"2x3x5", "5"}, .constants = CONSTANT(1)},
    {.op = "Sub", .opset = 14, .inputs = {"5", "2x3x5"}, .constants = CONSTANT(0)},
    {.op = "Sub", .opset = 14, .inputs = {"2x1", "1x3"}},
    {.op = "Mul", .opset = 14, .inputs = {"2x3x5", "1x3x1"}, .constants = CONSTANT(1)},
    {.op = "Mul", .opset = 14, .inputs = {"=0.5", "2x3"}, .constants = CONSTANT(0)},
    {.op = "Mul", .opset = 14, .inputs = {"2x3x5", "2x3x5"}},
    {.op = "Mul", .opset = 14, .inputs = {"double 2x3x5", "double 3x1"}, .constants = CONSTANT(1)},
    {.op = "Div", .opset = 14, .inputs = {"2x3x5", "+3x1"}, .constants = CONSTANT(1)},
    {.op = "Div", .opset = 14, .inputs = {"=1", "+2x3"}, .constants = CONSTANT(0)},
    {.op = "Min", .opset = 13, .inputs = {"2x3", "3", "2x1"}},
    {.op = "Max", .opset = 13, .inputs = {"2x3", "3", "2x1", "scalar"}},
    {.op = "Sum", .opset = 13, .inputs = {"2x3", "3", "2x1"}},
    {.op = "Mean", .opset = 13, .inputs = {"2x3", "3", "2x1"}},
    {.op = "Min", .opset = 13, .inputs = {"2x3"}, .is_identity = true},
    {.op = "Max", .opset = 6, .inputs = {"2x3"}, .is_identity = true},
    {.op = "Sum", .opset = 13, .inputs = {"2x3"}, .is_identity = true},
    {.op = "Mean", .opset = 13, .inputs = {"2x3"}, .is_identity = true},

    /* Movements. */
    {.op = "Identity", .opset = 25, .inputs = {"2x3"}, .is_identity = true},
    {.op = "Cast", .opset = 13, .inputs = {"2x3"}, .attributes = {DRIVER_INT("to", NORMA_FLOAT)}, .is_identity = true},
    {.op = "Cast", .opset = 1, .inputs = {"2x3"}, .attributes = {DRIVER_STRING("to", "FLOAT")}, .is_identity = true},
    {.op = "Cast", .opset = 1, .inputs = {"2x3"}, .attributes = {DRIVER_STRING("to", "DOUBLE")}},
    {.op = "Cast", .opset = 13, .inputs = {"2x3"}, .attributes = {DRIVER_INT("to", NORMA_INT32)}},
    {.op = "CastLike", .opset = 19, .inputs = {"2x3", "1"}, .is_identity = true},
    {.op = "CastLike", .opset = 19, .inputs = {"2x3", "double 1"}},
    {.op = "Dropout", .opset = 7, .inputs = {"2x3"}, .is_identity = true},
    {.op = "Dropout", .opset = 1, .inputs = {"2x3"}, .attributes = {DRIVER_INT("is_test", 1)}, .is_identity = true},
    {.op = "Dropout", .opset = 13, .inputs = {"2x3", "=0.5"}, .is_identity = true},
    {.op = "Dropout", .opset = 13, .inputs = {"2x3", "=0.5", "bool =0"}, .constants = CONSTANT(2), .is_identity = true},
    {.op = "Dropout", .opset = 13, .inputs = {"2x3", "=0.5", "bool =1"}, .constants = CONSTANT(2)},
    {.op = "Dropout", .opset = 13, .inputs = {"2x3", "=0.5", "bool =1"}},
    {.op = "RandomUniformLike", .opset = 22, .inputs = {"2x3"}, .attributes = {DRIVER_FLOAT("seed", 1)}},
    {.op = "RandomNormalLike", .opset = 22, .inputs = {"2x3"}, .attributes = {DRIVER_FLOAT("seed", 1)}},
    {.op = "Bernoulli", .opset = 22, .inputs = {"%2x3"}, .attributes = {DRIVER_FLOAT("seed", 1)}},
    {.op = "Multinomial",
     .opset = 22,
     .inputs = {"2x3"},
     .attributes = {DRIVER_FLOAT("seed", 1), DRIVER_INT("sample_size", 4)}},
    {.op = "Reshape", .opset = 14, .inputs = {"2x3", "[2,3]"}, .is_identity = true},
    {.op = "Reshape", .opset = 14, .inputs = {"2x3", "[3,2]"}},
    {.op = "Flatten", .opset = 13, .inputs = {"2x3"}, .is_identity = true},
    {.op = "Flatten", .opset = 13, .inputs = {"2x3x4"}},
    {.op = "Squeeze", .opset = 13, .inputs = {"2x3"}, .is_identity = true},
    {.op = "Squeeze", .opset = 13, .inputs = {"2x1", "[1]"}},
    {.op = "Unsqueeze", .opset = 13, .inputs = {"2x3", "[]"}, .is_identity = true},
    {.op = "Unsqueeze", .opset = 13, .inputs = {"2x3", "[0]"}},
    {.op = "Expand", .opset = 13, .inputs = {"2x3", "[1,3]"}, .is_identity = true},
    {.op = "Expand", .opset = 13, .inputs = {"1x3", "[2,3]"}},
    {.op = "Tile", .opset = 13, .inputs = {"2x3", "[1,1]"}, .is_identity = true},
    {.op = "Tile", .opset = 13, .inputs = {"2x3", "[2,1]"}},
    {.op = "Tile", .opset = 13, .inputs = {"0x3", "[7,1]"}, .is_identity = true},
    {.op = "Slice", .opset = 13, .inputs = {"2x3", "[0,0]", "[2,9]"}, .is_identity = true},
    {.op = "Slice",
     .opset = 13,
     .inputs = {"2x3", "[0]", "[9]", "[1]", "[1]"},
     .constants = CONSTANT(4),
     .is_identity = true},
    {.op = "Slice", .opset = 13, .inputs = {"2x3", "[-1]", "[-9]", "[1]", "[-1]"}, .constants = CONSTANT(4)},
    {.op = "Slice", .opset = 13, .inputs = {"2x3", "[-1]", "[-9]", "[1]", "[-1]"}},
    {.op = "Slice",
     .opset = 9,
     .inputs = {"2x3"},
     .attributes = {DRIVER_INTS("starts", 2, no_pads), DRIVER_INTS("ends", 2, threes)},
     .is_identity = true},
    {.op = "Slice",
     .opset = 9,
     .inputs = {"4x3"},
     .attributes = {DRIVER_INTS("starts", 2, ones), DRIVER_INTS("ends", 2, threes)}},
    {.op = "Pad", .opset = 13, .inputs = {"2x3", "[0,0,0,0]"}, .constants = CONSTANT(1), .is_identity = true},
    {.op = "Pad", .opset = 2, .inputs = {"2x3"}, .attributes = {DRIVER_INTS("pads", 4, no_pads)}, .is_identity = true},
    {.op = "Pad", .opset = 13, .inputs = {"2x3", "[0,-1,0,1]"}, .constants = CONSTANT(1)},
    {.op = "Concat", .opset = 13, .inputs = {"2x3"}, .attributes = {DRIVER_INT("axis", 0)}, .is_identity = true},
    {.op = "Concat", .opset = 13, .inputs = {"2x3", "2x3"}, .attributes = {DRIVER_INT("axis", 0)}},
    {.op = "Transpose",
     .opset = 13,
     .inputs = {"2x3x4"},
     .attributes = {DRIVER_INTS("perm", 3, as_it_is)},
     .is_identity = true},
    {.op = "Transpose", .opset = 13, .inputs = {"2x3x4"}, .attributes = {DRIVER_INTS("perm", 3, turned)}},
    {.op = "Transpose", .opset = 13, .inputs = {"2x3x4"}},
    {.op = "Transpose", .opset = 13, .inputs = {"5"}, .is_identity = true},
    {.op = "Transpose", .opset = 13, .inputs = {"3x3"}, .attributes = {DRIVER_INTS("perm", 2, backwards)}},
    {.op = "Split", .opset = 13, .inputs = {"4x3"}, .output_count = 2},
    {.op = "Resize", .opset = 13, .inputs = {"1x2x3x4", NULL, NULL, "[1,2,6,8]"}},
    {.op = "Upsample",
     .opset = 7,
     .inputs = {"1x1x2x2"},
     .attributes = {DRIVER_FLOATS("scales", 4, ((const float[]){1, 1, 2, 2}))}},
    {.op = "ReduceMean", .opset = 18, .inputs = {"1x2x3x4", "[2,3]"}},
    {.op = "ReduceSum", .opset = 13, .inputs = {"2x3"}},
    {.op = "ReduceProd", .opset = 13, .inputs = {"2x3"}},
    {.op = "ReduceMax", .opset = 13, .inputs = {"2x3"}},
    {.op = "ReduceMin", .opset = 13, .inputs = {"2x3"}},
    {.op = "ReduceL1", .opset = 13, .inputs = {"2x3"}},
    {.op = "ReduceL2", .opset = 13, .inputs = {"2x3"}},
    {.op = "ReduceLogSum", .opset = 13, .inputs = {"+2x3"}},
    {.op = "ReduceLogSumExp", .opset = 13, .inputs = {"2x3"}},
    {.op = "ReduceSumSquare", .opset = 13, .inputs = {"2x3"}},

    /* Windows. */
    {.op = "Conv", .opset = 22, .inputs = {"2x4x6x7", "6x4x3x2", "6"}, .constants = CONSTANT(1) | CONSTANT(2)},
    {.op = "Conv",
     .opset = 11,
     .inputs = {"2x4x6x7", "6x2x3x3"},
     .constants = CONSTANT(1),
     .attributes = {DRIVER_INT("group", 2), DRIVER_INTS("pads", 4, pads), DRIVER_INTS("strides", 2, twos)}},
    {.op = "Conv",
     .opset = 11,
     .inputs = {"2x4x6x7", "4x1x3x3", "4"},
     .constants = CONSTANT(1),
     .attributes = {DRIVER_INT("group", 4), DRIVER_STRING("auto_pad", "SAME_UPPER")}},
    {.op = "Conv",
     .opset = 11,
     .inputs = {"2x3x9", "5x3x3"},
     .constants = CONSTANT(1),
     .attributes = {DRIVER_INTS("dilations", 1, one_axis)}},
    {.op = "Conv", .opset = 11, .inputs = {"1x3x4x4", "5x3x1x1"}},
    {.op = "Conv", .opset = 11, .inputs = {"double 1x3x4x4", "double 5x3x2x2", "double 5"}, .constants = CONSTANT(1)},
    {.op = "ConvTranspose",
     .opset = 11,
     .inputs = {"2x4x5x6", "4x3x3x3", "3"},
     .constants = CONSTANT(1),
     .attributes = {DRIVER_INTS("strides", 2, twos), DRIVER_INTS("pads", 4, ones),
                    DRIVER_INTS("output_padding", 2, extra)}},
    {.op = "ConvTranspose",
     .opset = 22,
     .inputs = {"1x4x5", "4x3x2"},
     .constants = CONSTANT(1),
     .attributes = {DRIVER_INT("group", 2)}},
    {.op = "MaxPool",
     .opset = 12,
     .inputs = {"2x3x7x8"},
     .attributes = {DRIVER_INTS("kernel_shape", 2, threes), DRIVER_INTS("strides", 2, twos),
                    DRIVER_INTS("pads", 4, ones)}},
    {.op = "MaxPool",
     .opset = 12,
     .inputs = {"2x3x7x8"},
     .attributes = {DRIVER_INTS("kernel_shape", 2, threes), DRIVER_INTS("strides", 2, twos),
                    DRIVER_INT("ceil_mode", 1)}},
    {.op = "AveragePool",
     .opset = 19,
     .inputs = {"2x3x7x8"},
     .attributes = {DRIVER_INTS("kernel_shape", 2, threes), DRIVER_INTS("dilations", 2, twos)}},
    {.op = "AveragePool",
     .opset = 7,
     .inputs = {"2x3x7x8"},
     .attributes = {DRIVER_INTS("kernel_shape", 2, twos), DRIVER_STRING("auto_pad", "SAME_LOWER"),
                    DRIVER_INTS("strides", 2, threes)}},
    {.op = "LpPool", .opset = 18, .inputs = {"2x3x7x8"}, .attributes = {DRIVER_INTS("kernel_shape", 2, twos)}},
    {.op = "GlobalAveragePool", .opset = 22, .inputs = {"2x3x4x5"}},
    {.op = "GlobalMaxPool", .opset = 22, .inputs = {"2x3x4x5"}},
    {.op = "GlobalLpPool", .opset = 22, .inputs = {"2x3x4x5"}},

    /* Matrix products. */
    /* Integers of 8 bits. */
    {.op = "QuantizeLinear", .opset = 21, .inputs = {"3x5", "=0.25", "int8 =3"}},
    {.op = "DequantizeLinear", .opset = 21, .inputs = {"int8 3x5", "=0.25", "int8 =3"}},
    {.op = "DynamicQuantizeLinear", .opset = 11, .inputs = {"3x5"}, .output_count = 3},
    {.op = "MatMulInteger", .opset = 10, .inputs = {"int8 4x5", "int8 5x3"}, .constants = CONSTANT(1)},
    {.op = "QLinearMatMul",
     .opset = 10,
     .inputs = {"int8 4x5", "=0.5", "int8 =1", "int8 5x3", "=0.5", "int8 =0", "=0.25", "int8 =2"},
     .constants = CONSTANT(3)},
    {.op = "ConvInteger", .opset = 10, .inputs = {"int8 2x4x6x7", "int8 6x4x3x2"}, .constants = CONSTANT(1)},
    {.op = "QLinearConv",
     .opset = 10,
     .inputs = {"int8 2x4x6x7", "=0.5", "int8 =1", "int8 6x4x3x2", "=0.5", "int8 =0", "=0.5", "int8 =2", "int32 6"},
     .constants = CONSTANT(3)},
    {.op = "DeformConv", .opset = 22, .inputs = {"2x4x5x5", "3x4x3x3", "2x18x3x3", "3"}, .constants = CONSTANT(1)},
    {.op = "DeformConv",
     .opset = 22,
     .inputs = {"float16 1x4x5x5", "float16 4x2x3x3", "float16 1x36x3x3", NULL, "float16 1x18x3x3"},
     .constants = CONSTANT(1),
     .attributes = {DRIVER_INT("group", 2), DRIVER_INT("offset_group", 2)}},
    {.op = "Einsum",
     .opset = 12,
     .inputs = {"4x5", "5x3"},
     .constants = CONSTANT(1),
     .attributes = {DRIVER_STRING("equation", "ij,jk->ik")}},
    {.op = "Einsum",
     .opset = 12,
     .inputs = {"2x4x5", "2x3x5"},
     .attributes = {DRIVER_STRING("equation", "bij,bkj->bik")}},
    {.op = "MatMul", .opset = 13, .inputs = {"4x5", "5x3"}, .constants = CONSTANT(1)},
    {.op = "MatMul", .opset = 13, .inputs = {"2x4x5", "5x3"}, .constants = CONSTANT(1)},
    {.op = "MatMul", .opset = 13, .inputs = {"4x5", "5x3"}, .constants = CONSTANT(0)},
    {.op = "MatMul", .opset = 13, .inputs = {"float16 4x5", "float16 5x3"}, .constants = CONSTANT(1)},
    {.op = "Gemm", .opset = 13, .inputs = {"4x5", "5x3", "3"}, .constants = CONSTANT(1)},
    {.op = "Gemm",
     .opset = 13,
     .inputs = {"4x5", "3x5", "3"},
     .constants = CONSTANT(1),
     .attributes = {DRIVER_INT("transB", 1), DRIVER_FLOAT("alpha", 0.5f), DRIVER_FLOAT("beta", 0.25f)}},
    {.op = "Gemm",
     .opset = 13,
     .inputs = {"5x4", "5x3"},
     .constants = CONSTANT(0) | CONSTANT(1),
     .attributes = {DRIVER_INT("transA", 1)}},
    {.op = "Gemm", .opset = 11, .inputs = {"double 4x5", "double 5x3"}, .constants = CONSTANT(1)},

    /* Recurrent layers, and what moves along their time. */
    {.op = "RNN", .opset = 22, .inputs = {"3x2x4", "1x5x4", "1x5x5", "1x10"}, .constants = 0xE},
    {.op = "RNN", .opset = 22, .inputs = {"float16 3x2x4", "float16 1x5x4", "float16 1x5x5"}, .constants = CONSTANT(2)},
    {.op = "GRU",
     .opset = 22,
     .inputs = {"3x2x4", "2x15x4", "2x15x5", "2x30"},
     .constants = 0xE,
     .attributes = {DRIVER_STRING("direction", "bidirectional")}},
    {.op = "GRU",
     .opset = 14,
     .inputs = {"double 3x2x4", "double 1x15x4", "double 1x15x5", "double 1x30"},
     .constants = 0xE,
     .attributes = {DRIVER_INT("linear_before_reset", 1)}},
    {.op = "GRU", .opset = 14, .inputs = {"3x2x4", "1x15x4", "1x15x5", "1x30"}},
    {.op = "LSTM",
     .opset = 22,
     .inputs = {"3x2x4", "1x20x4", "1x20x5", "1x40", NULL, NULL, NULL, "1x15"},
     .constants = 0x8E},
    {.op = "LSTM", .opset = 7, .inputs = {"double 3x2x4", "double 1x20x4", "double 1x20x5"}, .constants = CONSTANT(1)},
    {.op = "ReverseSequence", .opset = 10, .inputs = {"4x2x3", "[1,1]"}, .constants = CONSTANT(1)},
    {.op = "TensorScatter", .opset = 24, .inputs = {"2x4x3", "2x1x3", "[0,0]"}, .constants = CONSTANT(2)},

    /* Normalizations. */
    {.op = "BatchNormalization",
     .opset = 15,
     .inputs = {"2x3x4x5", "3", "3", "3", "+3"},
     .constants = 0x1E,
     .attributes = {DRIVER_FLOAT("epsilon", 0.01f)}},
    {.op = "BatchNormalization", .opset = 7, .inputs = {"2x3x4", "3", "3", "3", "+3"}, .constants = 0x1E},
    {.op = "BatchNormalization", .opset = 15, .inputs = {"2x3x4x5", "3", "3", "3", "+3"}},
    {.op = "BatchNormalization", .opset = 15, .inputs = {"2x1x4x5", "1", "1", "1", "+1"}, .constants = 0x1E},
    {.op = "InstanceNormalization", .opset = 22, .inputs = {"2x3x4x5", "3", "3"}},
    {.op = "GroupNormalization",
     .opset = 21,
     .inputs = {"2x4x5", "4", "4"},
     .attributes = {DRIVER_INT("num_groups", 2)}},
    {.op = "LayerNormalization", .opset = 17, .inputs = {"2x3x4", "4", "4"}},
    {.op = "SimplifiedLayerNormalization", .opset = 17, .inputs = {"2x3x4", "4"}},
    {.op = "Attention", .opset = 24, .inputs = {"2x3x5x4", "2x3x6x4", "2x3x6x7"}},
    {.op = "Attention",
     .opset = 23,
     .inputs = {"2x5x12", "2x6x12", "2x6x9"},
     .attributes = {DRIVER_INT("q_num_heads", 3), DRIVER_INT("kv_num_heads", 3)}},
    {.op = "SwiGLU", .opset = 28, .inputs = {"2x3x4", "2x3x4"}},
    {.op = "RotaryEmbedding", .opset = 23, .inputs = {"2x3x5x4", "2x5x2", "2x5x2"}},
    {.op = "RMSNormalization", .opset = 23, .inputs = {"2x3x4", "4"}},
    {.op = "LpNormalization", .opset = 22, .inputs = {"2x3x4"}},
    {.op = "LRN", .opset = 13, .inputs = {"2x5x3x3"}, .attributes = {DRIVER_INT("size", 3)}},
    {.op = "Softmax", .opset = 13, .inputs = {"2x3x4"}},
    {.op = "LogSoftmax", .opset = 13, .inputs = {"2x3x4"}},
    {.op = "Hardmax", .opset = 13, .inputs = {"2x3x4"}},
};

const operator_sample *sample_at(size_t index) {
  return index < COUNT(samples) ? &samples[index] : NULL;
}

/* ----------------------------------------------------------------------------------------------------------- inputs */

static shape parse_shape(const char *text) {
  shape result = {.rank = 0};
  if (strcmp(text, "scalar") == 0) return result;
  for (char *end; *text; text = *end == 'x' ? end + 1 : end) {
    result.dims[result.rank++] = strtoll(text, &end, 10);
    if (end == text) fail_msg("\"%s\" is no shape", text);
  }
  return result;
}

static const value *parse_list(workbench *bench, const char *text) {
  int64_t elements[NORMA_MAX_RANK];
  int count = 0;
  for (char *end; *text != ']'; text = *end == ',' ? end + 1 : end) elements[count++] = strtoll(text, &end, 10);
  return bench_ints(bench, SHAPE(count), elements);
}

/* A type in front of the rest, which *text is moved to. */
static norma_element_type parse_type(const char **text) {
  const char *blank = strchr(*text, ' ');
  for (int i = 1; blank && i < NORMA_ELEMENT_TYPE_COUNT; i++) {
    const char *name = norma_element_type_name((norma_element_type)i);
    if (strlen(name) != (size_t)(blank - *text) || strncmp(name, *text, strlen(name)) != 0) continue;
    *text = blank + 1;
    return (norma_element_type)i;
  }
  return NORMA_FLOAT;
}

static const value *parse_input(workbench *bench, const char *text) {
  if (*text == '[') return parse_list(bench, text + 1);
  const norma_element_type type = parse_type(&text);
  if (*text == '=') return bench_tensor(bench, type, SCALAR, NUMBERS(strtod(text + 1, NULL)));
  const bool is_positive = *text == '+', is_probability = *text == '%';
  return bench_random(bench, type, parse_shape(text + (is_positive || is_probability)),
                      is_positive      ? 0.5
                      : is_probability ? 0
                                       : -2,
                      is_probability ? 1 : 2);
}

driver_call sample_call(workbench *bench, const operator_sample *sample) {
  driver_call call = {.op_type = sample->op, .opset = sample->opset, .constants = sample->constants};
  call.output_count = sample->output_count ? sample->output_count : 1;
  memcpy(call.attributes, sample->attributes, sizeof sample->attributes);
  for (int i = 0; i < SAMPLE_MOST_INPUTS; i++) {
    if (!sample->inputs[i]) continue;
    call.inputs[i] = parse_input(bench, sample->inputs[i]);
    call.input_count = i + 1;
  }
  return call;
}
