"""The model on a device: conversion to TFLite, proof that nothing was lost, and the Android app."""
