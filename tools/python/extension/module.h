/*
 * The extension norma._norma: norma.h for Python, in the limited API of CPython 3.9 and the C API of NumPy.
 *
 *   module.c   the module, its functions and its state
 *   errors.c   norma_error as an exception
 *   arrays.c   NumPy's arrays as tensors, and back
 *   values.c   strings, lists, dicts and None as values, and back
 *   models.c   runtimes and models
 *   sessions.c sessions and runs, with session_inputs.c and session_outputs.c
 *
 * Objects keep what they stand on: a session its model, a model its runtime, a runtime the module's state. What is
 * convenient rather than quick is written in Python, around the types that are made here.
 */
#ifndef NORMA_PYTHON_MODULE_H
#define NORMA_PYTHON_MODULE_H

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x03090000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API  NPY_1_19_API_VERSION
#define NPY_TARGET_VERSION     NPY_1_19_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL norma_python_numpy
#ifndef NORMA_PYTHON_MODULE_C
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include "engine/norma.h"

/* What the module needs from Python code, and what it has made. */
typedef struct module_state {
  PyObject *raise;      /* raise(status, message, node, op_type, domain, opset, value): raises a norma.Error */
  PyObject *as_array;   /* as_array(object, element type): an array that holds it, or an exception */
  PyObject *find_dtype; /* find_dtype(element type): the numpy.dtype whose arrays hold it */
  PyObject *blame;      /* blame(input name, exception): raises it with the name */
  PyTypeObject *runtime_type, *model_type, *session_type;
  PyArray_Descr *dtypes[NORMA_ELEMENT_TYPE_COUNT]; /* NULL: not asked for yet */
  PyObject *empty;                                 /* a tuple */
  unsigned long main_thread;                       /* signals are for this one */
  long fork_count;                                 /* of processes between the one that imported it and this one */
} module_state;

/* ----------------------------------------------------------------------------------------------------------- errors */

/* Raises what *error says; always NULL. */
PyObject *errors_raise(const module_state *state, const norma_error *error);

/* The same with a message of the extension's own, about value `name` (may be NULL). */
PyObject *errors_raise_status(const module_state *state, norma_status status, const char *name, const char *format, ...)
    NORMA_PRINTF(4, 5);

/* ------------------------------------------------------------------------------------------------------------ text */

/* Bytes that are meant to be UTF-8 as str, and back as bytes: what is not UTF-8 is kept as surrogates. NULL: an
 * exception is set. */
PyObject *text_of(const char *bytes, Py_ssize_t size);
PyObject *text_bytes(PyObject *text);

/* ----------------------------------------------------------------------------------------------------------- arrays */

/* The dtype of arrays that hold elements of a type; borrowed. NULL: an exception is set. */
PyArray_Descr *arrays_dtype(module_state *state, norma_element_type type);

/* A view of an array, if norma can read it as it lies: contiguous, aligned, of native byte order, and of a type whose
 * elements are stored as norma stores them. */
bool arrays_view(const module_state *state, PyArrayObject *array, norma_tensor *tensor);

/* `object` as an array whose bytes a tensor of this type can be (UNDEFINED: of any type); what is no array is made one.
 * A new reference; NULL: an exception is set. Sets *tensor to a view of it, except for types that norma packs, and
 * strings, where its data are NULL. */
PyArrayObject *arrays_from_object(module_state *state, PyObject *object, norma_element_type type, norma_tensor *tensor);

/* A new array of a tensor's type and shape with 64-byte alignment, its elements undefined. Not for packed types and
 * strings. */
PyArrayObject *arrays_allocate(module_state *state, const norma_tensor *tensor);

/* A new array with a copy of the tensor's elements. */
PyObject *arrays_copy(module_state *state, const norma_tensor *tensor);

/* Elements of less than 8 bits, one in each byte, to norma's form, and back. `extends`: the upper bits of a byte repeat
 * the sign, as in int8; else they are 0, as ml_dtypes has it. */
bool arrays_is_packed(norma_element_type type);
void arrays_pack(const uint8_t *from, int64_t count, norma_element_type type, uint8_t *to);
void arrays_unpack(const uint8_t *from, int64_t count, norma_element_type type, bool extends, uint8_t *to);

/* ----------------------------------------------------------------------------------------------------------- values */

/* A value of its own with the contents of `object`, as `type` (NULL: unknown) wants it: arrays and numbers, lists,
 * dicts, None. NULL: an exception is set. */
norma_value *values_from_object(module_state *state, norma_runtime *runtime, PyObject *object, const norma_type *type);

/* The reverse; a new reference that shares nothing with the value. */
PyObject *values_to_object(module_state *state, const norma_value *value);

/* ---------------------------------------------------------------------------------------------------------- objects */

typedef struct runtime_object {
  PyObject_HEAD;
  PyObject *module;
  module_state *state;
  norma_runtime *runtime;
  PyObject *log; /* called with (level, line); NULL: none */
  long fork_count;
} runtime_object;

typedef struct model_object {
  PyObject_HEAD;
  runtime_object *runtime;
  norma_model *model;
  Py_ssize_t input_count, output_count;
  PyObject **input_names, **output_names; /* str */
  PyObject *output_indices;               /* dict: name to index */
} model_object;

/* Whether threads of the runtime are there: they do not come along into a forked process. Else an exception is set. */
bool runtimes_check_fork(const runtime_object *runtime);

/* The type of input or output `index` as the model declares it. */
const norma_type *models_input_type(const norma_model *model, const char *name);

/* Types of the module; NULL: an exception is set. */
PyTypeObject *runtimes_make_type(void);
PyTypeObject *models_make_type(void);
PyTypeObject *sessions_make_type(void);

/* Functions of the module. */
PyObject *runtimes_create(PyObject *module, PyObject *arguments);
PyObject *models_create(PyObject *module, PyObject *arguments);
PyObject *sessions_create(PyObject *module, PyObject *arguments);

/* A new object of `type`, which is `base` or derived from it, with its fields 0. */
void *objects_allocate(PyObject *type, PyTypeObject *base);

/* tp_dealloc's last words. */
void objects_free(PyObject *object);

/* For types that Python code cannot call. */
PyObject *objects_refuse(PyTypeObject *type, PyObject *arguments, PyObject *keywords);

#endif
