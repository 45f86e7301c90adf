/* In which order passes run. Groups follow each other; within a group passes take turns until none of them changes
 * anything, so their order there decides only which of two possible rewrites comes first. */
#include "engine/passes/pass.h"

/* First of all, quantised models: what computes with integers must be found before constants that stand for integers,
 * such as weights, are folded to floats. */
static const char *const quantize_passes[] = {"fold_quantized_constants", "move_dequantization", "fuse_quantization",
                                              NULL};

/* Then the graph gets smaller: what can be computed is, what does nothing goes. All later passes then see constants as
 * constants and producers as direct neighbours. Activations that are written out in simple operators are found here,
 * while their operators are still apart. */
static const char *const clean_passes[] = {"constant_folding",
                                           "dead_code_elimination",
                                           "merge_reshapes",
                                           "merge_transposes",
                                           "recognize_activation",
                                           "recognize_attention",
                                           "recognize_layer_normalization",
                                           "remove_identity",
                                           NULL};

/* Then what is linear is joined: neighbours that scale and shift become one, and go into the weights in front of them
 * or behind them. Before any fusion into stores: a layer that applies an activation is linear no more. In front comes
 * first, since a factor per output channel costs nothing where weights are read anyway. */
static const char *const fold_passes[] = {"collapse_scale_shift",
                                          "fold_batch_normalization_into_conv",
                                          "fold_batch_normalization_into_gemm",
                                          "fold_bias",
                                          "fold_scale",
                                          "fold_scale_shift_into_next",
                                          NULL};

/* Then layers take over what is done to their results, in the order in which a store does it: bias, residual,
 * activation. Shuffles of channels are recognised here, the last moment at which their reshapes stand alone. */
static const char *const fuse_passes[] = {"fuse_activation", "fuse_bias", "fuse_residual", "recognize_channel_shuffle",
                                          NULL};

/* Then inner layouts, which need to see the fused layers: what was fused moves to blocks with its layer. */
static const char *const layout_passes[] = {"block_layout", "fold_channel_shuffle", NULL};

/* Last, what no kernel has taken into its store is joined; chains in blocks are chains like others. */
static const char *const chain_passes[] = {"fuse_elementwise", NULL};

const pass_group pass_groups[] = {
    {"quantize", quantize_passes}, {"clean", clean_passes}, {"fold", fold_passes}, {"fuse", fuse_passes},
    {"layout", layout_passes},     {"chain", chain_passes}, {NULL, NULL},
};
