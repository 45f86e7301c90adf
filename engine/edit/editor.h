/* A model file that is edited, as callers hold it: the public face of proto/model_patch.h. */
#ifndef ENGINE_EDIT_EDITOR_H
#define ENGINE_EDIT_EDITOR_H

#include "engine/execute/runtime.h"
#include "proto/model_patch.h"

struct norma_editor {
  norma_runtime *runtime;
  model_patch *patch;
  interruption interruption; /* of its limits */
};

#endif
